"""Orders with a route: what no broker has goes to the next account that can take it, and nothing else ever moves."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from brokers.adapters import registry
from brokers.core.orders import OrderState
from brokers.models import Account, Broker, Order, OrderEvent
from brokers.services import order_gate
from brokers.services.order_batch import IllegalTransitionError, OrderBatch
from brokers.services.submission import AcceptedOrder, OrderSubmission, accept_order
from reliability.core.errors import ReliabilityError
from reliability.core.taxonomy import FailureKind
from reliability.models import Job, JobAttempt
from tests.fakes import FakeBroker, call_error, make_due, run_due

pytestmark = pytest.mark.django_db

MARKET = {"symbol": "AAPL", "side": "buy", "quantity": "10"}
ROUTE = {**MARKET, "route": ["desk", "second"]}


@dataclass
class StandIn:
    """What a guard says when it is asked whether a call may be begun."""

    wait: float = 0.0
    left: int = 1000
    budget: bool = True
    circuit: str = "stand-in:orders"

    def wait_seconds(self) -> float:
        return self.wait

    def room(self) -> int:
        return self.left

    def may_retry(self) -> bool:
        return self.budget

    def pace(self, seconds: float) -> timedelta:
        return timedelta(seconds=seconds)


@pytest.fixture
def second(account: Account, monkeypatch: pytest.MonkeyPatch) -> FakeBroker:
    """Another broker with an account called second."""
    fake = FakeBroker()
    monkeypatch.setitem(registry._ADAPTERS, "fake-2", fake)
    row = Broker.objects.create(name=f"{account.broker_id}-2", adapter="fake-2", base_url="http://127.0.0.1:9")
    Account.objects.create(name="second", broker=row)
    return fake


@pytest.fixture
def guards(monkeypatch: pytest.MonkeyPatch, second: FakeBroker) -> dict[str, StandIn]:
    by_name = {"desk": StandIn(), "second": StandIn()}
    accounts = Account.objects.values_list("pk", flat=True)
    monkeypatch.setattr(order_gate, "get_guard", lambda profile, call_class: by_name[profile.name])
    monkeypatch.setattr(order_gate, "_steady_since", dict.fromkeys(accounts, -3600.0))
    return by_name


def accept(body: Mapping[str, Any], key: str = "k1") -> AcceptedOrder:
    owner, _ = get_user_model().objects.get_or_create(username="desk")
    return accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission(key, dict(body)))


def account_of(order_id: UUID) -> str:
    return Order.objects.get(pk=order_id).account.name


def test_the_first_account_of_the_route_takes_the_order(
    broker: FakeBroker, second: FakeBroker, guards: dict[str, StandIn]
) -> None:
    order = accept(ROUTE)
    run_due("orders")

    assert (account_of(order.id), broker.calls, second.calls) == ("desk", ["submit"], [])


def test_an_order_that_no_broker_has_goes_to_the_next_account(
    broker: FakeBroker, second: FakeBroker, guards: dict[str, StandIn]
) -> None:
    guards["desk"].wait = 30.0
    order = accept(ROUTE)
    run_due("orders")

    row = Order.objects.get(pk=order.id)
    assert (row.account.name, row.state, broker.calls, second.calls) == ("second", "working", [], ["submit"])
    assert row.client_order_id == order.client_order_id
    moved = OrderEvent.objects.get(order_id=order.id, kind="rerouted")
    names = dict(Account.objects.values_list("name", "pk"))
    assert moved.evidence["from_account"] == names["desk"]
    assert moved.evidence["to_account"] == names["second"]


def test_an_order_that_was_refused_a_connection_goes_to_the_next_account(
    broker: FakeBroker, second: FakeBroker, guards: dict[str, StandIn]
) -> None:
    broker.fail("submit", call_error(FailureKind.TRANSIENT))
    order = accept(ROUTE)
    run_due("orders")
    guards["desk"].wait = 30.0
    make_due(lane="orders")
    run_due("orders")

    assert (account_of(order.id), broker.calls, second.calls) == ("second", ["submit"], ["submit"])


def test_an_unknown_order_never_moves(broker: FakeBroker, second: FakeBroker, guards: dict[str, StandIn]) -> None:
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS))
    order = accept(ROUTE)
    run_due("orders")
    guards["desk"].wait = 30.0
    for _ in range(12):
        Order.objects.filter(pk=order.id).update(sent_at=timezone.now() - timedelta(minutes=1))
        make_due(lane="orders")
        run_due("orders")

    row = Order.objects.get(pk=order.id)
    assert row.absence_proven_at is not None
    assert (row.account.name, row.state, second.calls) == ("desk", "unknown", [])
    guards["desk"].wait = 0.0
    make_due(lane="orders")
    run_due("orders")
    assert (account_of(order.id), Order.objects.get(pk=order.id).state) == ("desk", "working")


@pytest.mark.parametrize("state", [state for state in OrderState if state is not OrderState.ACCEPTED])
def test_no_order_that_a_broker_may_have_can_be_moved(second: FakeBroker, state: OrderState) -> None:
    order = accept(ROUTE)
    Order.objects.filter(pk=order.id).update(state=state)
    batch = OrderBatch.lock([order.id])
    with pytest.raises(IllegalTransitionError):
        batch.reroute(batch.rows[order.id], Account.objects.get(name="second").pk, "a mistake")


def test_without_a_route_an_order_waits_for_its_account_and_spends_nothing(
    broker: FakeBroker, second: FakeBroker, guards: dict[str, StandIn]
) -> None:
    guards["desk"].wait = 30.0
    order = accept(MARKET)
    for _ in range(5):
        make_due(lane="orders")
        run_due("orders")

    job = Job.objects.get(subject=order.id)
    assert (job.state, job.attempt, job.error_code) == ("ready", 0, "BROKER_ACCOUNT_UNAVAILABLE")
    assert timedelta(seconds=25) < job.run_at - timezone.now() < timedelta(seconds=50)
    assert (Order.objects.get(pk=order.id).state, broker.calls, JobAttempt.objects.count()) == ("accepted", [], 0)


def test_a_caller_may_want_a_refusal_instead_of_a_wait(
    broker: FakeBroker, second: FakeBroker, guards: dict[str, StandIn]
) -> None:
    guards["desk"].wait = guards["second"].wait = 30.0
    order = accept({**ROUTE, "when_unavailable": "refuse"})
    run_due("orders")

    row = Order.objects.get(pk=order.id)
    assert (row.state, row.error_code) == ("refused", "BROKER_ACCOUNT_UNAVAILABLE")
    assert (broker.calls, second.calls) == ([], [])


def test_no_more_orders_are_begun_than_an_account_has_room_for(
    broker: FakeBroker, second: FakeBroker, guards: dict[str, StandIn]
) -> None:
    guards["desk"].left = 3
    for number in range(10):
        accept(MARKET, f"k{number}")
    run_due("orders")

    assert len(broker.calls) == 3
    assert Order.objects.filter(state="accepted").count() == 7


def test_what_one_account_has_no_room_for_the_next_one_takes(
    broker: FakeBroker, second: FakeBroker, guards: dict[str, StandIn]
) -> None:
    guards["desk"].left = 3
    for number in range(10):
        accept(ROUTE, f"k{number}")
    run_due("orders")

    assert (len(broker.calls), len(second.calls)) == (3, 7)


def test_an_account_that_is_disabled_is_left_out_of_the_route(second: FakeBroker) -> None:
    Account.objects.filter(name="desk").update(enabled=False)
    assert accept(ROUTE).account == "second"


def test_a_route_that_names_nobody_is_refused(account: Account) -> None:
    with pytest.raises(ReliabilityError) as caught:
        accept({**MARKET, "route": ["desk", "nobody"]})
    assert caught.value.code == "VALIDATION_INVALID_ORDER"


def test_the_same_intent_is_answered_as_it_was_accepted_wherever_the_order_went(
    broker: FakeBroker, second: FakeBroker, guards: dict[str, StandIn]
) -> None:
    guards["desk"].wait = 30.0
    first = accept(ROUTE)
    run_due("orders")
    again = accept(ROUTE)
    assert (again.id, again.account, again.client_order_id) == (first.id, first.account, first.client_order_id)
