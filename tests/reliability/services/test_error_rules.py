"""Guesses are counted exactly and reviewed by people; what they decide reaches every process."""

from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from reliability.core.classification import Operation, Proof, RawFailure
from reliability.core.errors import ReliabilityError
from reliability.models import AuditEntry, ErrorGuess, ErrorRule
from reliability.services.classification import preview, set_confirmed_rules
from reliability.services.error_guesses import GuessCounter
from reliability.services.error_rules import (
    WARNING,
    RuleDraft,
    RuleFollower,
    add_rule,
    change_rule,
    confirm_guess,
    reject_guess,
    switch_rule,
)

pytestmark = pytest.mark.django_db

WHO = {"actor": "night", "reason": "the broker's support said so"}


@pytest.fixture(autouse=True)
def no_rules_remain():
    yield
    set_confirmed_rules([])


def failure(**values: Any) -> RawFailure:
    facts = {
        "source": "odd_broker",
        "operation": Operation.SUBMIT,
        "raw_code": "E-77",
        "message": "order 4711 is not wanted on 2026-11-24",
    }
    return RawFailure(**{**facts, **values})


def guessed(*failures: RawFailure) -> ErrorGuess:
    counter = GuessCounter()
    for raw in failures or (failure(),):
        counter.note(preview(raw))
    counter.write()
    return ErrorGuess.objects.latest("id")


# -- counting ---------------------------------------------------------------------------------


def test_a_flood_is_one_statement_and_counted_exactly():
    counter = GuessCounter()
    error = preview(failure())
    for _ in range(5_000):
        counter.note(error)
    counter.note(preview(failure(message="something else")))

    with CaptureQueriesContext(
        connection,
    ) as queries:
        counter.write()

    assert len(queries) == 1
    assert sorted(ErrorGuess.objects.values_list("count", flat=True)) == [1, 5_000]


def test_counts_of_processes_add_up():
    first = guessed(failure(), failure())
    again = guessed(failure())

    assert (first.pk, again.count) == (again.pk, 3)
    assert again.first_seen_at == first.first_seen_at < again.last_seen_at
    assert (again.code, again.ambiguous, again.state) == (preview(failure()).code, True, "new")


def test_with_the_database_away_counting_goes_on(monkeypatch):
    counter = GuessCounter()
    counter.note(preview(failure()))
    with monkeypatch.context() as away:
        away.setattr("reliability.services.error_guesses.connection.cursor", _fail)
        with pytest.raises(OperationalError):
            counter.write()
    counter.note(preview(failure()))
    counter.write()

    assert ErrorGuess.objects.get().count == 2


def _fail() -> None:
    raise OperationalError("the database is away")


def test_odd_texts_are_kept():
    guess = guessed(failure(message="\x00 bad \ud800 byte" + "y" * 5000, raw_code="C" * 900))

    assert guess.sample.startswith("\ufffd bad \ufffd byte")


# -- deciding ---------------------------------------------------------------------------------


def test_a_confirmed_guess_decides_in_every_process():
    guess = guessed()
    follower = RuleFollower()  # of any process
    follower.refresh()
    before = preview(failure(message="order 5 is not wanted on 2027-01-01"))

    confirm_guess(guess.pk, **WHO, code="BROKER_ORDER_REJECTED", proof=Proof.REFUSED, accepts_doubling=True)
    follower.refresh()
    after = preview(failure(message="order 5 is not wanted on 2027-01-01"))

    assert (before.guessed, before.ambiguous) == (True, True)
    assert (after.guessed, after.ambiguous, after.code) == (False, False, "BROKER_ORDER_REJECTED")
    assert preview(failure(message="a quite different matter")).guessed
    assert preview(failure(operation=Operation.CANCEL)).guessed
    guess.refresh_from_db()
    assert (guess.state, guess.decided_by, guess.rule.author) == ("confirmed", "night", "night")
    actions = list(AuditEntry.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["add_error_rule", "confirm_guess"]
    assert AuditEntry.objects.earliest("id").after["accepts_doubling"] is True


def test_a_rule_that_can_double_an_order_wants_an_explicit_yes():
    guess = guessed()

    with pytest.raises(ReliabilityError, match="can double an order"):
        confirm_guess(guess.pk, **WHO, proof=Proof.REFUSED)

    assert not ErrorRule.objects.exists()
    assert ErrorGuess.objects.get().state == "new"
    assert "double an order" in WARNING


def test_a_rule_is_edited_and_switched_off_and_on():
    rule = confirm_guess(guessed().pk, **WHO, code="BROKER_UNAVAILABLE")
    follower = RuleFollower()
    follower.refresh()
    assert preview(failure()).code == "BROKER_UNAVAILABLE"

    draft = RuleDraft("odd_broker", "BROKER_MAINTENANCE", Proof.UNPROVEN, (), "e-77", "")
    change_rule(rule.pk, draft, **WHO)
    follower.refresh()
    assert preview(failure(operation=Operation.QUERY)).code == "BROKER_MAINTENANCE"

    switch_rule(rule.pk, active=False, **WHO)
    follower.refresh()
    assert preview(failure()).guessed

    switch_rule(rule.pk, active=True, **WHO)
    follower.refresh()
    assert preview(failure()).code == "BROKER_MAINTENANCE"
    actions = list(AuditEntry.objects.order_by("-id").values_list("action", flat=True)[:3])
    assert actions == ["enable_error_rule", "disable_error_rule", "change_error_rule"]


def test_an_unchanged_record_is_not_read_again():
    follower = RuleFollower()
    follower.refresh()

    with CaptureQueriesContext(connection) as queries:
        follower.refresh()

    assert len(queries) == 1


def test_a_rule_of_another_release_is_left_out_and_the_others_hold():
    rule = confirm_guess(guessed().pk, **WHO)
    ErrorRule.objects.create(source="odd_broker", code="GONE_CODE", raw_code="1", author="x", reason="x")
    follower = RuleFollower()
    follower.refresh()

    assert not preview(failure()).guessed
    assert preview(failure()).code == rule.code


def test_a_rejected_guess_stays_on_record_and_can_be_confirmed_later():
    guess = guessed()
    reject_guess(guess.pk, **WHO)
    with pytest.raises(ReliabilityError, match="was rejected by night"):
        reject_guess(guess.pk, **WHO)
    guessed(failure())
    assert ErrorGuess.objects.get().count == 2

    confirm_guess(guess.pk, **WHO)

    with pytest.raises(ReliabilityError, match="was confirmed by night"):
        confirm_guess(guess.pk, **WHO)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"code": "NO_SUCH_CODE"}, "not in the catalogue"),
        ({"source": " "}, "names its source"),
        ({"raw_code": "", "message": " * "}, "would decide everything"),
        ({"message": "x" * 301}, "at most 300"),
        ({"raw_code": "\x00"}, "of text"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(values, words):
    draft = RuleDraft(
        **{"source": "s", "code": "BROKER_UNAVAILABLE", "proof": Proof.UNPROVEN, "raw_code": "1", **values}
    )

    with pytest.raises(ReliabilityError, match=words):
        add_rule(draft, **WHO)


def test_there_is_one_rule_for_the_same_failures():
    draft = RuleDraft("s", "BROKER_UNAVAILABLE", Proof.UNPROVEN, (), "1")
    add_rule(draft, **WHO)

    with pytest.raises(ReliabilityError, match="change that one"):
        add_rule(draft, **WHO)


@pytest.mark.parametrize("guess_id", [0, 10**30])
def test_there_is_no_such_guess(guess_id):
    with pytest.raises(ReliabilityError) as raised:
        reject_guess(guess_id, **WHO)

    assert raised.value.code == "VALIDATION_NOT_FOUND"
