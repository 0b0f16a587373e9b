"""Calls to a broker behind their guards, with the real circuits, budgets and limits in Valkey."""

import asyncio
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from brokers.adapters.errors import BrokerCallError
from brokers.core.orders import OrderTerms, OrderType, Side, TimeInForce
from brokers.models import Account, Broker, Order
from brokers.services import submit_job
from brokers.services.accounts import AccountProfile, Limits, forget_accounts, get_profile
from brokers.services.cancellation import request_cancel
from brokers.services.guards import PROBES, CallClass, get_guard, refused_here, waiting
from brokers.services.sessions import get_session
from brokers.services.submission import OrderSubmission, accept_orders
from brokers.services.submit_job import SubmitOrderJob
from brokers.services.synchronization import want_sync
from reliability.core.breaker import BreakerState
from reliability.core.jobs import Wait
from reliability.core.rate_limit import Priority
from reliability.core.taxonomy import FailureKind
from reliability.models import Job, JobAttempt
from reliability.services.circuits import get_circuit
from tests.fakes import FakeBroker, call_error, make_due, run_due
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.django_db


@pytest.fixture
def profile(account: Account) -> AccountProfile:
    return get_profile(account.pk)


def call(profile: AccountProfile, method: str, *args: Any) -> Any:
    async def make() -> Any:
        return await getattr(get_session(profile), method)(*args)

    return asyncio.run(make())


def fail(profile: AccountProfile, method: str = "list_open_orders", *args: Any, times: int = 5) -> BrokerCallError:
    """Make calls that must fail, and return the last failure."""
    for _ in range(times):
        with pytest.raises(BrokerCallError) as caught:
            call(profile, method, *args)
    return caught.value


def opens(broker: str, call_class: str) -> bool:
    """Wait until a circuit is seen open: on a busy machine the shared store may answer a moment late."""
    circuit, deadline = get_circuit(f"{broker}:{call_class}"), time.monotonic() + PATIENCE_SECONDS
    while circuit.state is not BreakerState.OPEN and time.monotonic() < deadline:
        time.sleep(0.005)
    return circuit.state is BreakerState.OPEN


def accept(count: int) -> None:
    owner, _ = get_user_model().objects.get_or_create(username="desk")
    body = {"symbol": "AAPL", "side": "buy", "quantity": "10"}
    wanted = [OrderSubmission(f"k{number}", body) for number in range(count)]
    accept_orders(owner_id=owner.pk, actor="desk", submissions=wanted)


def test_after_five_failures_calls_of_this_class_are_not_begun(broker: FakeBroker, profile: AccountProfile) -> None:
    broker.fail("open", call_error(FailureKind.TRANSIENT), times=9)
    fail(profile)
    assert opens(profile.broker, "reads")
    refusal = fail(profile, times=1)

    assert broker.calls == ["open"] * 5
    assert (refusal.code, refusal.kind) == ("SYSTEM_CIRCUIT_OPEN", FailureKind.TRANSIENT)
    assert isinstance(refused_here(refusal), Wait)
    assert call(profile, "find_order", "st-1") is None, "look-ups have a circuit of their own"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (FailureKind.REJECTED, "BROKER_INSUFFICIENT_FUNDS"),
        (FailureKind.REJECTED, "BROKER_MARKET_CLOSED"),
        (FailureKind.REJECTED, "VALIDATION_INVALID_ORDER"),
        (FailureKind.TRANSIENT, "AUTH_INVALID_CREDENTIALS"),
        (FailureKind.THROTTLED, "RATE_LIMIT_EXCEEDED"),
    ],
)
def test_what_a_broker_that_works_answers_opens_no_circuit(
    broker: FakeBroker, profile: AccountProfile, kind: FailureKind, code: str
) -> None:
    broker.fail("open", call_error(kind, code), times=20)
    fail(profile, times=20)
    assert get_circuit(f"{profile.broker}:reads").state is BreakerState.CLOSED


@pytest.mark.parametrize(
    "code", ["NETWORK_CONNECT_REFUSED", "TIMEOUT_READ", "BROKER_SERVER_ERROR", "BROKER_UNAVAILABLE"]
)
def test_what_a_broken_broker_does_opens_it(broker: FakeBroker, profile: AccountProfile, code: str) -> None:
    broker.fail("open", call_error(FailureKind.TRANSIENT, code), times=5)
    fail(profile)
    assert opens(profile.broker, "reads")


def test_orders_wait_for_an_open_circuit_without_an_attempt_or_an_event(
    broker: FakeBroker, profile: AccountProfile
) -> None:
    terms = OrderTerms("AAPL", Side.BUY, OrderType.MARKET, TimeInForce.DAY, Decimal(1))
    broker.fail("submit", call_error(FailureKind.TRANSIENT), times=5)
    fail(profile, "submit_order", "st-1", terms)
    assert opens(profile.broker, "orders")
    accept(40)
    for _ in range(3):
        make_due(lane="orders")
        run_due("orders")

    assert broker.calls == ["submit"] * 5
    assert (JobAttempt.objects.count(), Job.objects.filter(state="ready", attempt=0).count()) == (0, 40)
    assert set(Job.objects.values_list("waits_for", flat=True)) == {f"{profile.broker}:orders"}
    waits = [(job.run_at - timezone.now()).total_seconds() for job in Job.objects.order_by("run_at")]
    assert min(waits) > 20
    assert len({round(wait, 3) for wait in waits}) > 30, "they do not come back all at once"
    assert not Order.objects.exclude(version=1).exists()


def test_cancels_and_snapshots_wait_for_their_circuits(broker: FakeBroker, profile: AccountProfile) -> None:
    accept(1)
    run_due("orders")
    broker.fail("open", call_error(FailureKind.TRANSIENT), times=5)
    broker.fail("cancel", call_error(FailureKind.TRANSIENT), times=5)
    fail(profile)
    order = Order.objects.get()
    fail(profile, "cancel_order", order.broker_order_id)
    assert opens(profile.broker, "cancels")
    assert opens(profile.broker, "reads")
    broker.calls.clear()
    request_cancel(order.pk, actor="desk")
    want_sync({profile.id})
    run_due("orders")
    run_due("recovery")

    assert broker.calls == []
    waiting_jobs = Job.objects.filter(kind__in=["orders.cancel", "orders.sync"])
    assert [(job.state, job.error_code) for job in waiting_jobs] == [("ready", "BROKER_ACCOUNT_UNAVAILABLE")] * 2


def test_a_working_circuit_makes_nobody_wait(broker: FakeBroker, profile: AccountProfile) -> None:
    assert [waiting(profile, one) for one in CallClass] == [None] * len(CallClass)
    room = {one: get_guard(profile, one).room() for one in CallClass}
    assert room[CallClass.ORDERS] == 0.9 * Limits().max_concurrent_calls, "a tenth is kept for look-ups"
    assert room[CallClass.LOOK_UPS] == 0.8 * Limits().max_concurrent_calls, "a fifth is kept for orders and cancels"


def test_neither_look_ups_nor_orders_take_the_places_of_the_other(
    broker: FakeBroker, account: Account, profile: AccountProfile
) -> None:
    """A flood of the one leaves the other its own: orders that are full do not end the claiming of look-ups."""
    orders, look_ups = get_guard(profile, CallClass.ORDERS), get_guard(profile, CallClass.LOOK_UPS)
    bulkhead = orders.guard.parts.bulkhead
    assert bulkhead is not None
    kind = SubmitOrderJob()
    while bulkhead.try_enter(Priority.HIGH, "sending"):
        pass
    try:
        assert (orders.room(), look_ups.room(), get_guard(profile, CallClass.CANCELS).room()) == (0, 10, 0)
        assert kind.room([]) == 0, "nothing here is known to be unknown"
        submit_job._unknown_at[profile.broker] = time.monotonic()
        assert kind.room([]) == 10
        while bulkhead.try_enter(Priority.CRITICAL, "asking"):
            pass
        assert kind.room([]) == 0
    finally:
        submit_job._unknown_at.clear()
        for group, count in (("sending", 90), ("asking", 10)):
            for _ in range(count):
                bulkhead.leave(group)
    while bulkhead.try_enter(Priority.CRITICAL, "asking"):
        pass
    assert (look_ups.room(), orders.room()) == (0, 20)
    for _ in range(80):
        bulkhead.leave("asking")
    assert bulkhead.occupied == 0


def test_turns_after_a_cooldown_do_not_delay_those_who_only_lack_a_place(
    broker: FakeBroker, profile: AccountProfile
) -> None:
    guard = get_guard(profile, CallClass.ORDERS)
    waits = [guard.pace(30.0) for _ in range(3000)]
    assert max(waits) > timedelta(seconds=50), "three thousand take their turns after the cooldown"
    assert guard.pace(0.1) < timedelta(seconds=1)


def test_a_circuit_that_is_half_open_has_room_for_its_probes(broker: FakeBroker, profile: AccountProfile) -> None:
    guard = get_guard(profile, CallClass.READS)
    circuit = get_circuit(f"{profile.broker}:reads")
    assert guard.room() > PROBES
    broker.fail("open", call_error(FailureKind.TRANSIENT), times=5)
    fail(profile)
    circuit._see(BreakerState.HALF_OPEN, 0)
    assert guard.room() == PROBES


def test_calls_beyond_the_accounts_rate_are_not_begun(broker: FakeBroker, account: Account) -> None:
    Broker.objects.filter(pk=account.broker_id).update(calls_per_minute=10)
    forget_accounts()
    profile = get_profile(account.pk)
    assert profile.limits == Limits(calls_per_minute=10)
    while len(broker.calls) < 10:
        try:
            call(profile, "list_open_orders")
        except BrokerCallError:
            break
    refusal = fail(profile, times=20)

    assert (refusal.code, refusal.kind) == ("RATE_LIMIT_LOCAL", FailureKind.TRANSIENT)
    assert (refusal.retry_after_seconds or 0) > 0
    assert len(broker.calls) <= 10
    assert get_circuit(f"{profile.broker}:reads").state is BreakerState.CLOSED


def test_a_limit_the_broker_names_pauses_the_account(broker: FakeBroker, account: Account) -> None:
    Broker.objects.filter(pk=account.broker_id).update(calls_per_minute=10_000)
    forget_accounts()
    profile = get_profile(account.pk)
    broker.fail("open", call_error(FailureKind.THROTTLED, retry_after=30))
    fail(profile, times=1)
    held = waiting(profile, CallClass.ORDERS)
    assert held is not None
    assert timedelta(seconds=10) < held.delay
