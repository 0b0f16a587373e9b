"""Repeated calls of order jobs: their waits, what pays for them, and how many calls a broker has at once in all."""

import asyncio
import os
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.utils import timezone

from brokers.adapters.errors import BrokerCallError
from brokers.core.orders import OrderTerms, OrderType, Side, TimeInForce
from brokers.models import Account, Broker, Order
from brokers.services import guards, repeats, sessions
from brokers.services.accounts import AccountProfile, forget_accounts, get_profile
from brokers.services.cancellation import request_cancel
from brokers.services.guards import CallClass, get_guard
from brokers.services.limits import BrokerLimits, change_limits, get_limits
from brokers.services.replacement import request_replace
from brokers.services.sessions import get_session
from brokers.services.submission import OrderSubmission, accept_orders
from reliability.core.breaker import BreakerState
from reliability.core.classification import Operation
from reliability.core.retry import policy_for
from reliability.core.taxonomy import FailureKind
from reliability.models import Job
from reliability.services.circuits import get_circuit
from reliability.services.limits.registry import get_shared_places
from tests.factories import make_user
from tests.fakes import FakeBroker, call_error, make_due, run_due

pytestmark = pytest.mark.django_db

BODY = {"symbol": "AAPL", "side": "buy", "type": "limit", "limit_price": "10", "quantity": "10"}
TERMS = OrderTerms("AAPL", Side.BUY, OrderType.MARKET, TimeInForce.DAY, Decimal(1))
DRAW = 0.5
SLACK = timedelta(seconds=20)


@pytest.fixture
def profile(account: Account, monkeypatch: pytest.MonkeyPatch) -> AccountProfile:
    monkeypatch.setattr(repeats, "draw", lambda: DRAW)
    return get_profile(account.pk)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Operation, timedelta]]:
    """Every wait that a job of an order was given, with the code and the operation it was for."""
    given: list[tuple[str, Operation, timedelta]] = []
    lasting_delay = repeats.lasting_delay

    def listen(code: str, operation: Operation, *values: Any, **named: Any) -> timedelta:
        delay = lasting_delay(code, operation, *values, **named)
        given.append((code, operation, delay))
        return delay

    monkeypatch.setattr(repeats, "lasting_delay", listen)
    return given


def accept(key: str = "k1") -> Order:
    owner, _ = get_user_model().objects.get_or_create(username="desk")
    accept_orders(owner_id=owner.pk, actor="desk", submissions=[OrderSubmission(key, BODY)])
    return Order.objects.get(idempotency_key=key)


def work() -> None:
    make_due(lane="orders")
    run_due("orders")


def expected(code: str, operation: Operation, failures: int) -> timedelta:
    policy = policy_for(code, operation)
    ceiling = policy.delay_initial * policy.multiplier ** (failures - 1)
    return min(ceiling, policy.delay_max) * DRAW


@pytest.mark.parametrize("code", ["NETWORK_CONNECT_REFUSED", "BROKER_MAINTENANCE", "NETWORK_DNS_FAILED"])
def test_a_submission_that_was_not_sent_waits_by_the_policy_of_its_error(
    broker: FakeBroker, profile: AccountProfile, waits: list[Any], code: str
) -> None:
    broker.fail("submit", call_error(FailureKind.TRANSIENT, code), times=3)
    accept()
    for _ in range(3):
        work()

    assert waits == [(code, Operation.SUBMIT, expected(code, Operation.SUBMIT, number)) for number in (1, 2, 3)]
    assert Job.objects.get().state == "ready"


def test_no_wait_of_a_submission_goes_beyond_its_time(
    broker: FakeBroker, profile: AccountProfile, waits: list[Any]
) -> None:
    """Its end is told when its time is over, not when a wait ends that began before."""
    order = accept()
    Order.objects.filter(pk=order.pk).update(submit_before=timezone.now() + SLACK)
    broker.fail("submit", call_error(FailureKind.TRANSIENT, "BROKER_MAINTENANCE", retry_after=3600))
    work()

    ((_, _, delay),) = waits
    assert delay <= SLACK


def test_a_named_wait_is_kept(broker: FakeBroker, profile: AccountProfile, waits: list[Any]) -> None:
    accept()
    broker.fail("submit", call_error(FailureKind.THROTTLED, retry_after=7))
    work()

    assert waits[0][2] == timedelta(seconds=7) + expected("RATE_LIMIT_EXCEEDED", Operation.SUBMIT, 1)


def test_a_look_up_that_failed_waits_by_the_policy_of_queries(
    broker: FakeBroker, profile: AccountProfile, waits: list[Any]
) -> None:
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS))
    broker.fail("find", call_error(FailureKind.TRANSIENT, "BROKER_SERVER_ERROR"))
    accept()
    work()
    work()

    assert [(code, operation) for code, operation, _ in waits] == [("BROKER_SERVER_ERROR", Operation.QUERY)]
    assert broker.calls == ["submit", "find"], "and nothing was sent again"


def test_a_cancel_and_a_replacement_wait_by_the_policies_of_theirs(
    broker: FakeBroker, profile: AccountProfile, waits: list[Any]
) -> None:
    order, other = accept(), accept("k2")
    work()
    broker.fail("cancel", call_error(FailureKind.AMBIGUOUS))
    broker.fail("replace", call_error(FailureKind.TRANSIENT))
    request_cancel(order.pk, actor="desk")
    work()
    submission = OrderSubmission("k3", {"limit_price": "11"})
    request_replace(other.pk, owner_id=other.owner_id, actor="desk", submission=submission)
    work()

    assert {(code, operation) for code, operation, _ in waits} == {
        ("TIMEOUT_READ", Operation.CANCEL),
        ("NETWORK_CONNECT_REFUSED", Operation.MODIFY),
    }


# -- who pays ---------------------------------------------------------------------------------


@pytest.fixture
def neighbour(account: Account) -> AccountProfile:
    """Another account at the same broker."""
    row = Account.objects.create(name="neighbour", broker=account.broker)
    forget_accounts()
    return get_profile(row.pk)


def spend_all(profile: AccountProfile, call_class: CallClass) -> int:
    guard, spent = get_guard(profile, call_class), 0
    while guard.may_retry():
        spent += 1
        assert spent < 1000
    return spent


def test_a_noisy_account_cannot_use_up_what_another_one_needs(
    profile: AccountProfile, neighbour: AccountProfile
) -> None:
    assert spend_all(profile, CallClass.CANCELS) >= 100, "the broker's whole share and its own reserve"
    assert not get_guard(profile, CallClass.CANCELS).may_retry()

    assert get_guard(neighbour, CallClass.ORDERS).may_retry(), "the other account has a reserve of its own"
    assert 1 <= spend_all(neighbour, CallClass.CANCELS) <= 2 * guards.RESERVE.floor_units // 1000


def test_less_urgent_repeats_leave_a_part_for_cancels_and_look_ups(profile: AccountProfile) -> None:
    reads = spend_all(profile, CallClass.READS)
    orders = spend_all(profile, CallClass.ORDERS)
    urgent = spend_all(profile, CallClass.LOOK_UPS)

    assert reads > orders > 0
    assert urgent > 0


def test_a_cancel_that_cannot_be_paid_for_comes_back_more_slowly_and_is_not_given_up(
    broker: FakeBroker, profile: AccountProfile
) -> None:
    order = accept()
    work()
    spend_all(profile, CallClass.CANCELS)
    broker.fail("cancel", call_error(FailureKind.TRANSIENT))
    request_cancel(order.pk, actor="desk")
    before = timezone.now()
    make_due(lane="orders")
    run_due("orders")

    job = Job.objects.get(kind="orders.cancel")
    assert job.state == "ready"
    assert job.run_at >= before + timedelta(seconds=repeats.UNPAID_SECONDS)
    work()
    assert broker.calls.count("cancel") == 2


# -- calls of all processes together ----------------------------------------------------------


@pytest.fixture
def narrow(account: Account, broker: FakeBroker) -> AccountProfile:
    """An account whose broker takes two calls at once, from whomever."""
    Broker.objects.filter(pk=account.broker_id).update(max_calls_overall=2)
    forget_accounts()
    return get_profile(account.pk)


def submit(profile: AccountProfile, name: str) -> Any:
    async def make() -> Any:
        sessions._sessions.clear()
        return await get_session(profile).submit_order(name, TERMS)

    return asyncio.run(make())


def places_of(profile: AccountProfile) -> Any:
    policy = get_guard(profile, CallClass.ORDERS).guard.policy
    assert policy.shared_bulkhead is not None
    return get_shared_places(policy.name, policy.shared_bulkhead, 60.0)


def test_calls_of_all_processes_together_are_bounded(narrow: AccountProfile, broker: FakeBroker) -> None:
    """Two places are taken elsewhere, so the third call is not begun; one that is given back is used."""
    places = places_of(narrow)
    priority = get_guard(narrow, CallClass.ORDERS).guard.policy.priority
    first, second = places.try_enter(priority), places.try_enter(priority)
    assert first
    assert second
    with pytest.raises(BrokerCallError) as caught:
        submit(narrow, "st-1")

    assert (caught.value.code, caught.value.kind) == ("SYSTEM_BULKHEAD_FULL", FailureKind.TRANSIENT)
    assert broker.calls == []
    assert get_circuit(f"{narrow.broker}:orders").state is BreakerState.CLOSED
    places.leave(first)
    assert submit(narrow, "st-2").client_order_id == "st-2"
    assert submit(narrow, "st-3").client_order_id == "st-3", "a call gives its place back"


def test_an_order_without_a_place_waits_in_its_row(narrow: AccountProfile, broker: FakeBroker) -> None:
    places = places_of(narrow)
    priority = get_guard(narrow, CallClass.ORDERS).guard.policy.priority
    held = [places.try_enter(priority) for _ in range(2)]
    accept()
    run_due("orders")

    assert broker.calls == []
    assert Order.objects.get().state == "accepted"
    for place in held:
        places.leave(place)
    _until_sent()
    assert broker.calls == ["submit"]


def _until_sent() -> None:
    deadline = time.monotonic() + 30
    while Order.objects.get().state == "accepted" and time.monotonic() < deadline:
        work()


KILLED = """
import os, sys
import django
django.setup()
from reliability.core.bulkhead import BulkheadLimit
from reliability.core.rate_limit import Priority
from reliability.services.limits.registry import get_shared_places
places = get_shared_places(sys.argv[1], BulkheadLimit(2), float(sys.argv[2]))
for _ in range(2):
    assert places.try_enter(Priority.CRITICAL) not in (None, "alone")
print("taken", flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_killed_process_gives_its_places_back(narrow: AccountProfile, broker: FakeBroker) -> None:
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}
    other = subprocess.run(
        [sys.executable, "-c", KILLED, narrow.broker, "1.0"], env=env, capture_output=True, text=True, timeout=120
    )
    assert other.stdout == "taken\n", other.stderr
    assert other.returncode == -9

    deadline = time.monotonic() + 30
    sent = None
    while sent is None and time.monotonic() < deadline:
        with suppress(BrokerCallError):
            sent = submit(narrow, "st-1")
    assert sent is not None


def test_no_more_is_begun_than_the_broker_takes(narrow: AccountProfile) -> None:
    assert get_guard(narrow, CallClass.ORDERS).room() == 2


def test_without_a_limit_no_place_is_asked_for(profile: AccountProfile) -> None:
    assert get_guard(profile, CallClass.ORDERS).guard.parts.places is None


def test_one_person_lowers_the_limit_and_two_raise_it(account: Account) -> None:
    make_user("brokers.change_broker", name="ada")
    broker = account.broker_id
    lower = BrokerLimits(None, 100, 3)
    assert change_limits(broker, lower, by="ada", reason="the broker says three") is None
    assert get_limits(broker) == lower
    for raised in (None, 4):
        assert change_limits(broker, BrokerLimits(None, 100, raised), by="ada", reason="more") is not None
    assert get_limits(broker) == lower


def test_the_limit_is_at_least_one(account: Account) -> None:
    row = Broker.objects.get(pk=account.broker_id)
    row.max_calls_overall = 0
    with pytest.raises(ValidationError):
        row.full_clean(exclude=["adapter"])
