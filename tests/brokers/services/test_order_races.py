"""Cancels and replacements that race with fills at the simulated broker: afterwards our rows are its ledger."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from brokers.core.orders import OrderState
from brokers.models import Account, Broker, Fill, Order, Position
from brokers.services.cancellation import request_cancel
from brokers.services.credentials import set_credentials
from brokers.services.replacement import request_replace
from brokers.services.submission import OrderSubmission, accept_orders
from brokers.services.synchronization import want_sync
from brokers.simulator.ledger import LedgerSummary, read_ledger
from reliability.core.errors import ReliabilityError
from reliability.services.jobs.execution import apply_outcomes, claim_and_prepare
from tests.brokers.conformance.simulated import API_KEY, API_SECRET, SimulatedCounterpart, launch_simulated
from tests.factories import make_user
from tests.fakes import _perform, make_due

pytestmark = pytest.mark.django_db

RACES = 60
BODY: dict[str, Any] = {"symbol": "AAPL", "side": "buy", "quantity": "4", "type": "limit", "limit_price": "1"}
ROUNDS = 200


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[SimulatedCounterpart]:
    with launch_simulated(tmp_path) as counterpart:
        yield counterpart


@pytest.fixture
def desk(db: None, fresh_accounts: None, simulated: SimulatedCounterpart) -> Account:
    """The default account, at the simulated broker, reached through the adapter it would be in service."""
    settings = simulated.settings
    broker = Broker.objects.create(
        name="races", adapter="alpaca", base_url=settings.base_url, stream_url=settings.stream_url
    )
    account = Account.objects.create(name="desk", broker=broker, is_default=True)
    set_credentials(account, {"api_key": API_KEY, "api_secret": API_SECRET})
    return account


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as one:
        yield one


def work(runner: asyncio.Runner, lane: str) -> None:
    """Run what is ready in a lane once, on one loop, so that connections stay open between rounds."""

    async def together(calls: Any) -> list[Any]:
        return list(await asyncio.gather(*(_perform(call) for call in calls)))

    make_due(lane=lane)
    calls, _ = claim_and_prepare(lane, 0, 200)
    if calls:
        apply_outcomes(runner.run(together(calls)))


def ask_for_changes(orders: list[Order], owner: int) -> None:
    """Every third order is canceled, the others are replaced."""
    for number, order in enumerate(orders):
        if number % 3 == 0:
            request_cancel(order.pk, actor="desk")
        else:
            submission = OrderSubmission(f"r{number}", {"limit_price": "0.90", "quantity": "3"})
            request_replace(order.pk, owner_id=owner, actor="desk", submission=submission)


def fill_meanwhile(simulated: SimulatedCounterpart, orders: list[Order]) -> threading.Thread:
    """Let the broker fill orders while they are being changed: some whole, some in part, some not at all."""

    def fill() -> None:
        for number, order in enumerate(orders):
            if number % 5:
                try:
                    simulated.fill(order.broker_order_id, Decimal(4 if number % 2 else 1))
                except OSError:
                    lost.append(order.pk)  # the change was faster

    lost: list[UUID] = []
    thread = threading.Thread(target=fill)
    thread.start()
    return thread


def settle(runner: asyncio.Runner, account: Account, directory: Path) -> LedgerSummary:
    """Work and poll until nothing that was changed is open any more; the orders that replaced others are."""
    for _ in range(ROUNDS):
        work(runner, "orders")
        Order.objects.exclude(acknowledged_at=None).update(acknowledged_at=timezone.now() - timedelta(seconds=10))
        want_sync({account.pk})
        work(runner, "recovery")
        ledger = read_ledger(directory)
        states = dict(Order.objects.values_list("client_order_id", "state"))
        told = {one.client_order_id: one.status.value for one in ledger.orders.values()}
        changing = [one for one in told.values() if one.startswith("pending")]
        if not changing and all(_same(state, told.get(one)) for one, state in states.items()):
            return ledger
    raise AssertionError("our orders and the broker's never became the same")


def _same(ours: str, theirs: str | None) -> bool:
    if theirs is None:
        return ours == OrderState.REFUSED
    return ours == ("working" if theirs in ("new", "accepted") else theirs)


def test_changes_that_race_with_fills_end_as_the_ledger_of_the_broker_has_them(
    simulated: SimulatedCounterpart, desk: Account, runner: asyncio.Runner, tmp_path: Path
) -> None:
    owner = make_user()
    submissions = [OrderSubmission(f"o{number}", BODY) for number in range(RACES)]
    assert not any(
        isinstance(one, ReliabilityError)
        for one in accept_orders(owner_id=owner.pk, actor="desk", submissions=submissions)
    )
    work(runner, "orders")
    orders = list(Order.objects.filter(state=OrderState.WORKING).order_by("id"))
    assert len(orders) == RACES
    ask_for_changes(orders, owner.pk)
    filling = fill_meanwhile(simulated, orders)
    work(runner, "orders")
    filling.join()

    ledger = settle(runner, desk, tmp_path)

    assert ledger.duplicated_client_order_ids == []
    quantities = dict(Order.objects.values_list("client_order_id", "filled_quantity"))
    for client_id, quantity in quantities.items():
        assert quantity == ledger.executed_quantity(client_id)
    assert Position.objects.get(account=desk).quantity == ledger.net_positions()["AAPL"]
    assert Fill.objects.count() == len(ledger.fills)
    live_pairs = [
        order
        for order in Order.objects.filter(finished_at=None).exclude(replaces=None).select_related("replaces")
        if order.replaces is not None and order.replaces.finished_at is None
    ]
    assert live_pairs == [], "never both the old order and the new one"
