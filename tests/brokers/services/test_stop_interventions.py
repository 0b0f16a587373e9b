"""A stop of trading that only people end is a question to them, decided with what is known of it."""

import pytest

from brokers.core.freezes import FreezeCause, FreezeMode, parse_freeze_scope
from brokers.models import Account, Freeze, KillSwitch
from brokers.services import stop_interventions
from brokers.services.freezes import freeze_trading, release_freeze
from brokers.services.kill_switch import confirm_release, engage, request_release
from brokers.services.stop_interventions import DOUBT_KIND, FREEZE_KIND, SWITCH_KIND, check_stops
from reliability.core.errors import ReliabilityError
from reliability.models import Alert, Intervention
from reliability.services.interventions import confirm_intervention, decide_intervention, get_intervention_kind
from tests.factories import make_user

pytestmark = pytest.mark.django_db
PERMISSIONS = ("brokers.release_kill_switch", "brokers.release_freeze", "reliability.approve_intervention")


@pytest.fixture(autouse=True)
def persons(account: Account) -> None:
    for name in ("ann", "bob"):
        make_user(*PERMISSIONS, name=name)
    make_user(name="eve")


def freeze(cause: FreezeCause) -> Freeze:
    scope = parse_freeze_scope("account:desk/symbol:AAPL")
    pk = freeze_trading(scope, FreezeMode.HALT, cause, reason="11 of 10 filled", by="fills")
    return Freeze.objects.get(pk=pk)


def _proposal(asked: Intervention) -> str:
    """What whoever looks at the question now sees."""
    return Intervention.objects.get(pk=asked.pk).proposal


def test_two_persons_answer_whether_a_halted_desk_may_go_on() -> None:
    switch = engage("account:desk", reason="prices look wrong", actor="ann")
    check_stops()
    check_stops()
    asked = Intervention.objects.get()
    assert (asked.kind, asked.subject) == (SWITCH_KIND, f"kill_switch:{switch.pk}")
    assert (asked.evidence["stopped by"], asked.evidence["why"]) == ("ann", "prices look wrong")
    assert Alert.objects.get(condition="intervention.needed").details["account"] == "desk"
    page = get_intervention_kind(asked.kind).page(asked.subject)
    assert page == f"/admin/brokers/killswitch/{switch.pk}/change/"

    decide_intervention(asked.pk, "release", actor="ann", reason="the feed is back")
    assert KillSwitch.objects.get().released_at is None
    with pytest.raises(ReliabilityError, match="Another person"):
        confirm_intervention(asked.pk, actor="ann", proposal=_proposal(asked))
    assert "account:desk" in confirm_intervention(asked.pk, actor="bob", proposal=_proposal(asked))

    switch.refresh_from_db()
    assert (switch.release_wanted_by, switch.released_by, switch.release_reason) == ("ann", "bob", "the feed is back")
    check_stops()
    assert Intervention.objects.get().state == "decided"
    assert not Alert.objects.filter(condition="intervention.needed", resolved_at=None).exists()


def test_whoever_may_not_release_decides_nothing() -> None:
    engage("account:desk", reason="prices look wrong", actor="ann")
    check_stops()
    asked = Intervention.objects.get()
    decide_intervention(asked.pk, "release", actor="ann", reason="the feed is back")

    with pytest.raises(ReliabilityError, match="eve is no active person"):
        confirm_intervention(asked.pk, actor="eve", proposal=_proposal(asked))
    assert (Intervention.objects.get().state, KillSwitch.objects.get().released_at) == ("proposed", None)


def test_a_release_elsewhere_takes_the_question_back() -> None:
    switch = engage("account:desk", reason="prices look wrong", actor="ann")
    check_stops()
    request_release(switch.pk, by="ann", reason="the feed is back")
    confirm_release(switch.pk, by="bob")
    check_stops()
    assert Intervention.objects.get().state == "withdrawn"


@pytest.mark.parametrize(
    ("cause", "kind"),
    [(FreezeCause.OVERFILL, DOUBT_KIND), (FreezeCause.PERSON, FREEZE_KIND), (FreezeCause.STREAM_DOWN, "")],
)
def test_a_freeze_asks_as_many_as_its_cause_wants(cause: FreezeCause, kind: str) -> None:
    one = freeze(cause)
    check_stops()
    if not kind:
        assert not Intervention.objects.exists(), "it ends by itself"
        release_freeze(one.pk, by="watch", reason="clean")
        return
    asked = Intervention.objects.get()
    assert (asked.kind, asked.choices[0]["needs_second"]) == (kind, kind == DOUBT_KIND)
    decide_intervention(asked.pk, "release", actor="ann", reason="the broker confirmed it")
    if kind == DOUBT_KIND:
        confirm_intervention(asked.pk, actor="bob", proposal=_proposal(asked))
    one.refresh_from_db()
    assert one.released_by == ("bob" if kind == DOUBT_KIND else "ann")


def test_freezes_that_end_by_themselves_leave_room_for_those_that_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop_interventions, "MOST_ASKED", 1)
    for cause in (FreezeCause.STREAM_DOWN, FreezeCause.PERSON, FreezeCause.OVERFILL):
        freeze(cause)
    check_stops()
    assert set(Intervention.objects.values_list("kind", flat=True)) == {FREEZE_KIND, DOUBT_KIND}
