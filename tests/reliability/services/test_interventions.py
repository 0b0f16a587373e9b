"""Questions to people: one asked at a time, claimed, decided once, by two where it matters."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from reliability.core.errors import ReliabilityError
from reliability.core.interventions import Choice, InterventionState
from reliability.models import Alert, Intervention
from reliability.selectors.alerts import list_timeline
from reliability.services import interventions
from reliability.services.alert_keeper import keep_alerts
from reliability.services.interventions import (
    Decision,
    InterventionKind,
    Question,
    acknowledge_intervention,
    claim_intervention,
    confirm_intervention,
    decide_intervention,
    open_interventions,
    reject_intervention,
    withdraw_interventions,
)
from tests.factories import make_user
from tests.reliability.api.test_errors import client_of, require_error, send

pytestmark = pytest.mark.django_db


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[Decision]:
    """What was carried out, of a kind that refuses the value 'no'."""
    carried: list[Decision] = []

    def carry_out(decision: Decision) -> str:
        if decision.value == "no":
            raise ReliabilityError("VALIDATION_WRONG_STATE", "It refuses.")
        carried.append(decision)
        return "carried out"

    choices = (
        Choice("move", "Move it", "Money moves.", wants="how", wants_label="How"),
        Choice("wait", "Wait", "-", False),
    )
    kind = InterventionKind("tests.question", choices, carry_out, "brokers.decide_order")
    monkeypatch.setitem(interventions._KINDS, kind.name, kind)
    return carried


def ask(subject: str = "account:a") -> int:
    open_interventions("tests.question", [Question(subject, "What now?", {"seen": 1}, {})])
    return Intervention.objects.get(subject=subject, state__in=("open", "proposed")).pk


def proposal(pk: int) -> str:
    """What whoever looks at the question now sees."""
    return Intervention.objects.get(pk=pk).proposal


def kinds(pk: int) -> list[str]:
    return [entry["kind"] for entry in list_timeline("intervention", pk)]


def test_a_question_is_asked_once_with_its_alert(done: list[Decision]) -> None:
    assert ask() == ask()
    alert = Alert.objects.get()
    assert (alert.condition, alert.scope, alert.occurrences) == ("intervention.needed", "account:a", 1)


def test_two_persons_decide_what_moves_money(done: list[Decision]) -> None:
    pk = ask()
    assert decide_intervention(pk, "move", value="slowly", actor="ann", reason="r") is InterventionState.PROPOSED
    with pytest.raises(ReliabilityError, match="Another person"):
        confirm_intervention(pk, actor="ann", proposal=proposal(pk))
    seen = proposal(pk)
    assert confirm_intervention(pk, actor="bob", proposal=seen) == "carried out"
    assert confirm_intervention(pk, actor="bob", proposal=seen) == "carried out"

    assert done == [Decision("account:a", "move", "slowly", "r", "ann", "bob", {"seen": 1})]
    assert Alert.objects.get().resolved_by == "bob"
    assert kinds(pk) == ["opened", "proposed", "decided"]


@pytest.mark.parametrize(
    "change",
    [
        {"value": "fast"},
        {"reason": "another"},
        {"choice": "wait"},
        {"evidence": {"seen": 2}},
        {"proposed_by": "eve"},
        {"proposed_at": timezone.now()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_changed_after_it_was_seen_is_not_carried_out(done: list[Decision], change: dict[str, object]) -> None:
    pk = ask()
    decide_intervention(pk, "move", value="slowly", actor="ann", reason="r")
    seen = proposal(pk)
    Intervention.objects.filter(pk=pk).update(**change)

    for digest in (seen, ""):
        with pytest.raises(ReliabilityError, match=r"Something else is proposed|Say which proposal"):
            confirm_intervention(pk, actor="bob", proposal=digest)

    assert (done, Intervention.objects.get().state) == ([], "proposed")


def test_a_proposal_proposed_anew_needs_a_look_of_its_own(done: list[Decision]) -> None:
    pk = ask()
    decide_intervention(pk, "move", value="slowly", actor="ann", reason="r")
    seen = proposal(pk)
    decide_intervention(pk, "move", value="all of it", actor="ann", reason="r")

    with pytest.raises(ReliabilityError, match="Something else is proposed"):
        confirm_intervention(pk, actor="bob", proposal=seen)

    confirm_intervention(pk, actor="bob", proposal=proposal(pk))
    assert [one.value for one in done] == ["all of it"]


def test_a_proposal_is_agreed_to_within_the_hour(done: list[Decision]) -> None:
    pk = ask()
    decide_intervention(pk, "move", value="slowly", actor="ann", reason="r")
    Intervention.objects.update(proposed_at=timezone.now() - timedelta(minutes=61))

    with pytest.raises(ReliabilityError, match="over an hour ago"):
        confirm_intervention(pk, actor="bob", proposal=proposal(pk))

    assert done == []


def test_one_person_decides_what_does_not(done: list[Decision]) -> None:
    pk = ask()
    for _ in range(2):
        assert decide_intervention(pk, "wait", actor="ann", reason="r") is InterventionState.DECIDED
    assert len(done) == 1
    with pytest.raises(ReliabilityError, match="decided by ann"):
        decide_intervention(pk, "wait", actor="bob", reason="r")


def test_what_refuses_changes_nothing(done: list[Decision]) -> None:
    pk = ask()
    decide_intervention(pk, "move", value="no", actor="ann", reason="r")
    with pytest.raises(ReliabilityError, match="It refuses"):
        confirm_intervention(pk, actor="bob", proposal=proposal(pk))
    assert Intervention.objects.get().state == "proposed"
    reject_intervention(pk, actor="bob", reason="wrong value")
    assert (Intervention.objects.get().state, Intervention.objects.get().proposed_by) == ("open", "")


def test_a_claim_keeps_others_out_for_a_quarter_of_an_hour(done: list[Decision]) -> None:
    pk = ask()
    claim_intervention(pk, actor="ann")
    claim_intervention(pk, actor="ann")
    for act in (
        lambda: claim_intervention(pk, actor="bob"),
        lambda: decide_intervention(pk, "wait", actor="bob", reason="r"),
    ):
        with pytest.raises(ReliabilityError, match="ann works on it"):
            act()
    Intervention.objects.update(claimed_until=timezone.now())
    claim_intervention(pk, actor="bob")


def test_acknowledging_does_not_stop_the_due_time(done: list[Decision]) -> None:
    pk = ask()
    acknowledge_intervention(pk, actor="ann")
    Intervention.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    keep_alerts()
    keep_alerts()
    assert (Alert.objects.get().severity, kinds(pk).count("overdue")) == (1, 1)


def test_what_answers_itself_is_withdrawn(done: list[Decision]) -> None:
    pk = ask()
    assert withdraw_interventions("tests.question", ["account:a"], reason="it is known") == 1
    assert (Intervention.objects.get().state, Alert.objects.get().state) == ("withdrawn", "resolved")
    with pytest.raises(ReliabilityError, match="withdrawn"):
        claim_intervention(pk, actor="ann")
    assert ask() != pk


@pytest.mark.parametrize(("choice", "value", "reason"), [("gone", "", "r"), ("move", " ", "r"), ("wait", "", "  ")])
def test_a_decision_that_lacks_something_is_refused(done: list[Decision], choice: str, value: str, reason: str) -> None:
    with pytest.raises(ReliabilityError):
        decide_intervention(ask(), choice, value=value, actor="ann", reason=reason)
    assert (done, Intervention.objects.get().state) == ([], "open")


def test_over_http(done: list[Decision]) -> None:
    pk = ask()
    every = ("view_intervention", "handle_intervention", "approve_intervention")
    may = tuple(f"reliability.{name}" for name in every)
    ann, bob = (client_of(make_user(*may, "brokers.decide_order", name=name)) for name in ("ann", "bob"))
    path = f"/api/v1/interventions/{pk}"

    def post(client: Any, action: str, body: Any = None) -> Any:
        return send(client, "POST", f"{path}/{action}", body)

    require_error(post(client_of(make_user(*may)), "claim"), 403, "AUTH_PERMISSION_DENIED")
    assert [row["id"] for row in ann.get("/api/v1/interventions?state=undecided").json()["results"]] == [pk]
    assert post(ann, "acknowledge").json()["acknowledged_by"] == "ann"
    assert post(ann, "claim").json()["claimed_by"] == "ann"
    body = {"choice": "move", "value": "slowly", "reason": "r"}
    assert post(ann, "decide", body).json()["state"] == "proposed"
    seen = {"proposal": ann.get(path).json()["proposal"]}
    require_error(post(ann, "confirm", seen), 403, "AUTH_PERMISSION_DENIED")
    assert post(bob, "reject", {"reason": "not so"}).json()["state"] == "open"
    assert post(ann, "decide", body).json()["state"] == "proposed"
    require_error(post(bob, "confirm", seen), 409, "VALIDATION_WRONG_STATE")
    require_error(post(bob, "confirm"), 422, "VALIDATION_INVALID_REQUEST")
    decided = post(bob, "confirm", {"proposal": bob.get(path).json()["proposal"]}).json()
    assert (decided["state"], decided["outcome"], len(done)) == ("decided", "carried out", 1)
    require_error(post(bob, "reject", {"reason": "x"}), 409, "VALIDATION_WRONG_STATE")
