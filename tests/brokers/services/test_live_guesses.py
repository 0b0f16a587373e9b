"""What a broker says that nobody knows is noted, looked at by a person, and known from then on, in every process."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from brokers.adapters.errors import BrokerCallError
from brokers.models import Order
from brokers.services import sessions
from brokers.services.accounts import AccountProfile
from brokers.services.reviewed_session import SHAPE_ALONE
from brokers.services.sessions import get_session
from brokers.services.submission import OrderSubmission, accept_orders
from reliability.core.classification import Operation, Proof
from reliability.core.taxonomy import FailureKind
from reliability.models import ErrorEvent, ErrorGuess, ErrorRule
from reliability.services.circuits import get_circuit
from reliability.services.classification import set_confirmed_rules
from reliability.services.error_guesses import counter
from reliability.services.error_recorder import errors
from reliability.services.error_rules import RuleDraft, RuleFollower, add_rule, confirm_guess, switch_rule
from tests.brokers.services.wire import ODD, Wire, wire_profile
from tests.factories import make_user
from tests.fakes import make_due, run_due
from tests.reliability.api.test_errors import client_of, send
from tests.reliability.services.test_records_in_processes import eventually, start

WHO = {"actor": "night", "reason": "the broker's support said so"}


@pytest.fixture
def wire() -> Iterator[Wire]:
    server = Wire()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def no_rules_remain() -> Iterator[None]:
    yield
    set_confirmed_rules([])


@pytest.fixture
def profile(db: None, fresh_accounts: None, wire: Wire) -> AccountProfile:
    return wire_profile(wire)


def call(profile: AccountProfile, method: str, *args: Any) -> Any:
    async def make() -> Any:
        sessions._sessions.clear()  # those of loops that are over
        session = get_session(profile)
        try:
            return await getattr(session, method)(*args)
        finally:
            await session.close()

    return asyncio.run(make())


def fail(profile: AccountProfile, method: str, *args: Any) -> BrokerCallError:
    with pytest.raises(BrokerCallError) as caught:
        call(profile, method, *args)
    return caught.value


def run_orders() -> None:
    sessions._sessions.clear()
    run_due("orders")


def send_order(key: str) -> Order:
    owner, _ = get_user_model().objects.get_or_create(username="desk")
    body = {"symbol": "AAPL", "side": "buy", "quantity": "10"}
    accept_orders(owner_id=owner.pk, actor="desk", submissions=[OrderSubmission(key, body)])
    run_orders()
    return Order.objects.get(idempotency_key=key)


@pytest.mark.django_db
def test_a_failure_nobody_knows_is_reviewed_once_and_known_from_then_on(profile: AccountProfile, wire: Wire) -> None:
    """The whole way: an order's failure, the guess, the person's word over HTTP, the next order's failure."""
    first = send_order("k1")
    assert (first.state, first.error_code) == ("refused", "VALIDATION_INVALID_ORDER")
    counter.write()
    client = client_of(make_user("reliability.view_errorguess", "reliability.decide_errorguess", name="night"))
    (found,) = client.get("/api/v1/errors/guesses", {"source": "alpaca_rest"}).json()["results"]
    assert (found["operation"], found["raw_code"], found["count"]) == ("submit", "422/42299999", 1)
    assert found["confidence"] <= SHAPE_ALONE

    decision = {
        "code": "BROKER_MARKET_CLOSED",
        "proof": "refused",
        "reason": "the broker's support said so",
        "accepts_doubling": True,
    }
    answer = send(client, "POST", f"/api/v1/errors/guesses/{found['id']}/confirm", decision)
    assert answer.status_code in (200, 201), answer.content
    RuleFollower().refresh()  # what every process does each second
    wire.says(422, json.dumps({**ODD, "message": "The venue sleeps in room 12"}))
    errors._kinds.clear()
    send_order("k2")
    errors.write()

    event = ErrorEvent.objects.get()
    assert event.code == "BROKER_MARKET_CLOSED"
    assert event.details["rule"].startswith("confirmed alpaca_rest")
    counter.write()
    assert ErrorGuess.objects.get().count == 1, "what a rule knows is no guess any more"


@pytest.mark.django_db
def test_a_rule_that_proves_nothing_keeps_an_order_unknown(profile: AccountProfile, wire: Wire) -> None:
    """Support says that the order may live in spite of such an answer: it is looked up, never refused."""
    draft = RuleDraft("alpaca_rest", "BROKER_SERVER_ERROR", Proof.UNPROVEN, (Operation.SUBMIT,), "422/42299999")
    add_rule(draft, **WHO)
    RuleFollower().refresh()

    assert send_order("k1").state == "unknown"
    wire.says(404, json.dumps({"code": 40410000, "message": "order not found"}))
    make_due(lane="orders")
    run_orders()
    assert wire.lines[-1].startswith("GET /v2/orders:by_client_order_id")
    assert sum(line.startswith("POST") for line in wire.lines) == 1


@pytest.mark.django_db
def test_rules_speak_of_the_operation_that_was_made(profile: AccountProfile, wire: Wire) -> None:
    draft = RuleDraft("alpaca_rest", "BROKER_MAINTENANCE", Proof.UNPROVEN, (Operation.CANCEL,), "422/42299999")
    add_rule(draft, **WHO)
    RuleFollower().refresh()

    canceled = fail(profile, "cancel_order", "b-1")
    read = fail(profile, "get_order", "b-1")

    assert (canceled.code, canceled.kind) == ("BROKER_MAINTENANCE", FailureKind.AMBIGUOUS)
    assert (read.code, read.kind) == ("VALIDATION_INVALID_REQUEST", FailureKind.REJECTED)


@pytest.mark.django_db
def test_a_rule_decides_for_the_circuit_too(profile: AccountProfile, wire: Wire) -> None:
    """Without a rule a refusal is an answer; a person knows that this one means the broker is down."""
    draft = RuleDraft("alpaca_rest", "BROKER_UNAVAILABLE", Proof.UNPROVEN, (), "422/42299999")
    for _ in range(6):
        fail(profile, "get_order", "b-1")
    assert get_circuit(f"{profile.broker}:reads").state == "closed"
    add_rule(draft, **WHO)
    RuleFollower().refresh()
    seen = {fail(profile, "get_order", "b-1").code for _ in range(12)}

    assert seen == {"BROKER_UNAVAILABLE", "SYSTEM_CIRCUIT_OPEN"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, json.dumps({"code": 40310000, "message": "insufficient buying power"})),
        (422, json.dumps({"code": 42210000, "message": "qty must be greater than 0"})),
        (502, "<html><body><h1>502 Bad Gateway</h1></body></html>"),
        (404, "<html><body>nothing here</body></html>"),
        (429, json.dumps({"code": 42910000, "message": "too many requests."})),
    ],
)
def test_what_is_known_is_not_offered_for_review(profile: AccountProfile, wire: Wire, status: int, body: str) -> None:
    wire.says(status, body)
    fail(profile, "cancel_order", "b-1")
    counter.write()
    assert not ErrorGuess.objects.exists()


@pytest.mark.django_db
def test_an_answer_with_a_strange_status_is_offered_for_review_and_proves_nothing(
    profile: AccountProfile, wire: Wire
) -> None:
    wire.says(409, json.dumps({"message": "the moon is full"}))
    failure = fail(profile, "cancel_order", "b-1")
    counter.write()

    guess = ErrorGuess.objects.get()
    assert failure.kind is FailureKind.AMBIGUOUS
    assert (guess.operation, guess.raw_code, guess.ambiguous, guess.proof) == ("cancel", "409/-", True, "unproven")
    assert guess.message == "the moon is full"


@pytest.mark.django_db
def test_failures_of_our_own_are_beyond_rules(profile: AccountProfile) -> None:
    """Nothing was asked, so nobody's rule about answers has a say."""
    draft = RuleDraft("alpaca_rest", "BROKER_UNAVAILABLE", Proof.UNPROVEN, (), "", "order id")
    add_rule(draft, **WHO)
    RuleFollower().refresh()

    assert fail(profile, "cancel_order", "../all").code == "VALIDATION_INVALID_REQUEST"


WORKER = """
import asyncio, sys, time
import django
django.setup()
from brokers.adapters.errors import BrokerCallError
from brokers.services.accounts import list_profiles
from brokers.services.sessions import get_session
from reliability.services.records import follow_records
follow_records()
profile = next(one for one in list_profiles() if one.broker == sys.argv[1])
async def work():
    before = ""
    while True:
        try:
            await get_session(profile).get_order("b-1")
        except BrokerCallError as error:
            if error.code != before:
                before = error.code
                print(before, flush=True)
        await asyncio.sleep(0.05)
asyncio.run(work())
"""


@pytest.mark.django_db(transaction=True)
def test_a_process_that_calls_the_broker_already_notes_the_guess_and_takes_up_the_rule(
    profile: AccountProfile, wire: Wire
) -> None:
    other = start(WORKER, profile.broker)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "VALIDATION_INVALID_REQUEST\n"
        guess = _written_guess()

        rule = confirm_guess(guess.pk, code="BROKER_ASSET_NOT_TRADABLE", proof=Proof.REFUSED, **WHO)
        assert other.stdout.readline() == "BROKER_ASSET_NOT_TRADABLE\n"

        switch_rule(rule.pk, active=False, **WHO)
        assert other.stdout.readline() == "VALIDATION_INVALID_REQUEST\n"
        assert ErrorRule.objects.get().author == "night"
    finally:
        other.kill()
        other.wait()


def _written_guess() -> ErrorGuess:
    assert eventually(lambda: ErrorGuess.objects.filter(source="alpaca_rest", operation="query").exists())
    return ErrorGuess.objects.get()
