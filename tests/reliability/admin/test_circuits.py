"""The admin's pages of circuits, guesses and rules: what they show, and what their forms do."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from reliability.core.breaker import BreakerSettings, PinnedState
from reliability.core.classification import Operation, Proof, RawFailure
from reliability.models import AuditEntry, Circuit, ErrorGuess, ErrorRule
from reliability.services import circuits
from reliability.services.classification import preview
from reliability.services.error_guesses import GuessCounter
from reliability.services.error_rules import RuleDraft, add_rule
from reliability.services.transition_records import TransitionRecorder
from tests.factories import make_user
from tests.reliability.services.test_transition_records import make_transition

pytestmark = pytest.mark.django_db

LIST = "/admin/reliability/circuit/"
GUESSES = "/admin/reliability/errorguess/"
RULES = "/admin/reliability/errorrule/"
ALL = (
    *("reliability.view_circuit", "reliability.change_circuit", "reliability.operate_circuit"),
    *("reliability.view_circuittransition", "reliability.view_errorguess", "reliability.decide_errorguess"),
    *("reliability.view_errorrule", "reliability.add_errorrule", "reliability.change_errorrule"),
)


def logged_in(*permissions: str) -> Client:
    client = Client()
    client.force_login(make_user(*permissions))
    return client


@pytest.fixture
def client() -> Client:
    return logged_in(*ALL)


@pytest.fixture
def name() -> str:
    name = f"t{uuid4().hex[:10]}:orders"
    circuits.configure(name, BreakerSettings(), 1)
    Circuit.objects.create(name=name)
    return name


@pytest.fixture
def guess() -> ErrorGuess:
    counter = GuessCounter()
    counter.note(preview(RawFailure("odd_broker", Operation.SUBMIT, "E77", "order 4711 is not wanted")))
    counter.write()
    return ErrorGuess.objects.get()


def page_of(row: Any) -> str:
    return reverse(f"admin:reliability_{row._meta.model_name}_change", args=[row.pk])


def told(response: Any) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def settings_form(**values: Any) -> dict[str, Any]:
    facts = {key: "" if value is None else value for key, value in BreakerSettings().to_dict().items()}
    return {**facts, "reason": "slow days", **values}


def test_the_list_shows_the_state_in_colour_and_word(client, name):
    circuits.pin(name, PinnedState.FORCED_OPEN, 60, "night", "why")
    text = client.get(LIST).content.decode()

    assert name in text
    assert 'class="badge bad"' in text
    assert "forced open" in text


def test_a_circuit_is_edited_with_a_reason(client, name, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        response = client.post(page_of(Circuit(name=name)), settings_form(failure_threshold=9))

    assert response.status_code == 302, response.content.decode()
    entry = AuditEntry.objects.get()
    assert (entry.before, entry.reason) == ({"failure_threshold": 5}, "slow days")
    assert Circuit.objects.get(name=name).settings_version == 2
    found = next(status for status in circuits.list_statuses() if status.name == name)
    assert found.settings.failure_threshold == 9


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"reason": ""}, "This field is required"),
        ({"failure_threshold": 0}, "failure_threshold must be a whole number"),
        ({"error_threshold_percentage": 101}, "at most 100"),
        ({"cooldown_seconds": "soon"}, "Enter a number"),
    ],
)
def test_settings_that_make_no_sense_are_shown_again(client, name, values, words):
    response = client.post(page_of(Circuit(name=name)), settings_form(**values))

    assert response.status_code == 200
    assert words in response.content.decode()
    assert not AuditEntry.objects.exists()


def test_a_pin_asks_for_state_length_and_reason(client, name):
    chosen = {"action": "pin_chosen", "_selected_action": [name]}
    asked = client.post(LIST, chosen)
    assert asked.status_code == 200
    assert 'name="minutes"' in asked.content.decode()
    refused = client.post(LIST, {**chosen, "state": "forced_open", "minutes": "5000", "reason": "maintenance"})
    assert "less than or equal to 1440" in refused.content.decode()

    done = client.post(LIST, {**chosen, "state": "forced_open", "minutes": "30", "reason": "maintenance"})

    assert told(done) == "Done: pin chosen (1)."
    assert Circuit.objects.get(name=name).pinned_state == "forced_open"
    done = client.post(LIST, {"action": "unpin_chosen", "_selected_action": [name], "reason": "over"})
    assert Circuit.objects.get(name=name).pinned_state == ""
    again = client.post(LIST, {"action": "unpin_chosen", "_selected_action": [name], "reason": "over"})
    assert "is not pinned" in told(again)
    client.post(LIST, {"action": "reset_chosen", "_selected_action": [name], "reason": "it is well"})
    actions = list(AuditEntry.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["pin_circuit", "unpin_circuit", "reset_circuit"]


def test_who_may_look_may_not_act(name):
    viewer = logged_in("reliability.view_circuit", "reliability.view_errorguess")

    assert viewer.get(LIST).status_code == 200
    assert viewer.get(page_of(Circuit(name=name))).status_code == 200
    assert viewer.post(page_of(Circuit(name=name)), settings_form()).status_code == 403
    viewer.post(
        LIST, {"action": "pin_chosen", "_selected_action": [name], "state": "disabled", "minutes": 5, "reason": "x"}
    )
    assert Circuit.objects.get(name=name).pinned_state == ""
    assert logged_in().get(LIST).status_code == 403


def test_changes_of_state_are_read_and_never_written(client):
    recorder = TransitionRecorder()
    recorder.note(make_transition())
    recorder.write()
    listing = client.get("/admin/reliability/circuittransition/?circuit=sim-a:orders")

    assert "sim-a:orders" in listing.content.decode()
    assert client.get("/admin/reliability/circuittransition/add/").status_code == 403


def test_a_guess_is_corrected_into_a_rule_after_the_warning(client, guess):
    chosen = {"action": "confirm", "_selected_action": [guess.pk], "reason": "their support said so"}
    asked = client.post(GUESSES, {"action": "confirm", "_selected_action": [guess.pk]}).content.decode()
    assert "can double an order" in asked
    assert "danger-text" in asked

    refused = client.post(GUESSES, {**chosen, "code": "BROKER_ORDER_REJECTED", "proof": "refused"})
    assert "can double an order" in told(refused)
    assert not ErrorRule.objects.exists()

    form = {**chosen, "code": "BROKER_ORDER_REJECTED", "proof": "refused", "accepts_doubling": "on"}
    done = client.post(GUESSES, form)
    assert told(done).endswith("Done: confirm (1).")
    assert ErrorRule.objects.get().code == "BROKER_ORDER_REJECTED"
    assert "danger-text" in client.get(RULES).content.decode()


def test_a_guess_is_rejected(client, guess):
    client.post(GUESSES, {"action": "reject", "_selected_action": [guess.pk], "reason": "one broken proxy"})

    guess.refresh_from_db()
    assert (guess.state, guess.decided_reason) == ("rejected", "one broken proxy")
    assert client.get(page_of(guess)).status_code == 200


def test_a_rule_is_added_changed_and_taken_out_of_use(client):
    form = {
        "source": "odd",
        "raw_code": "7",
        "message": "",
        "code": "BROKER_UNAVAILABLE",
        "proof": "refused",
        "why": "doc",
    }
    refused = client.post(RULES + "add/", form)
    assert "can double an order" in refused.content.decode()
    assert client.post(RULES + "add/", {**form, "accepts_doubling": "on"}).status_code == 302
    rule = ErrorRule.objects.get()

    assert client.post(page_of(rule), {**form, "proof": "unproven"}).status_code == 302
    rule.refresh_from_db()
    assert (rule.proof, rule.version) == ("unproven", 2)

    client.post(RULES, {"action": "take_out_of_use", "_selected_action": [rule.pk], "reason": "wrong"})
    rule.refresh_from_db()
    assert rule.is_active is False
    assert client.post(RULES + f"{rule.pk}/delete/").status_code == 403


def test_a_second_rule_for_the_same_is_told_not_crashed(client):
    add_rule(RuleDraft("odd", "BROKER_UNAVAILABLE", Proof.UNPROVEN, (), "7"), actor="x", reason="x")
    form = {
        "source": "odd",
        "raw_code": "7",
        "message": "",
        "code": "BROKER_UNAVAILABLE",
        "proof": "unproven",
        "why": "d",
    }

    response = client.post(RULES + "add/", form)

    assert response.status_code == 200
    assert "already exists" in response.content.decode()
    assert ErrorRule.objects.count() == 1
