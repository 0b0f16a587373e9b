"""Damage done by hand, at a real simulated broker over its wire: each kind is named by the next reconciliation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brokers.models import Account, Broker, Fill, Order
from brokers.services.credentials import set_credentials
from brokers.services.submission import OrderSubmission, accept_order
from brokers.services.synchronization import want_sync
from reconciliation.models import Discrepancy
from tests.brokers.simulator.process import Simulator
from tests.factories import make_user
from tests.fakes import run_due
from tests.reconciliation.services.test_runs import at_rest, damage, reconcile

pytestmark = pytest.mark.django_db


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    running = Simulator(tmp_path).start()
    yield running
    running.kill()


@pytest.fixture
def desk(db: None, simulator: Simulator, fresh_accounts: None) -> Account:
    broker = Broker.objects.create(
        name="sim", adapter="alpaca", base_url=simulator.url, stream_url=simulator.url.replace("http", "ws")
    )
    account = Account.objects.create(name="desk", broker=broker, is_default=True)
    set_credentials(account, {"api_key": "test-key", "api_secret": "test-secret"})
    return account


def submit(key: str, **body: Any) -> Order:
    owner = make_user()
    submission = OrderSubmission(key, {"symbol": "AAPL", "side": "buy", "quantity": "10", **body})
    accepted = accept_order(owner_id=owner.pk, actor="desk", submission=submission)
    run_due("orders")
    return Order.objects.get(pk=accepted.id)


def synchronize(account: Account) -> None:
    for _ in range(3):
        want_sync({account.pk})
        run_due("recovery")
    at_rest()


@pytest.mark.parametrize("kind", ["incremental", "full"])
def test_each_kind_of_damage_is_named_by_the_next_reconciliation(
    simulator: Simulator, desk: Account, kind: str
) -> None:
    resting = submit("resting", type="limit", limit_price="1")
    filled = submit("filled", type="limit", limit_price="1", symbol="MSFT")
    simulator.force_fill(filled.broker_order_id, "10")
    held = submit("held", type="limit", limit_price="1", symbol="NVDA")
    simulator.force_fill(held.broker_order_id, "4")
    synchronize(desk)
    at_first = reconcile(desk, "full")
    again = reconcile(desk)

    assert (at_first.state, list(Discrepancy.objects.values_list("kind", "subject"))) == ("clean", [])
    assert (again.state, again.hand_changes) == ("clean", {})

    fill = Fill.objects.get(symbol="MSFT")
    damage("UPDATE brokers_fill SET quantity = quantity / 2 WHERE id = %s", fill.pk)
    damage("DELETE FROM brokers_order WHERE id = %s", resting.pk)
    damage("UPDATE brokers_position SET quantity = 9 WHERE symbol = 'NVDA'")
    elsewhere = simulator.rest_order("by-hand", symbol="TSLA")
    run = reconcile(desk, kind)

    found = set(Discrepancy.objects.filter(state="open").values_list("kind", "subject_type", "subject"))
    assert run.state == "differences"
    assert found == {
        ("quantity", "fill", fill.execution_id),
        ("quantity", "booking", str(filled.pk)),
        ("missing_here", "order", resting.broker_order_id),
        ("position", "position", "NVDA"),
        ("external", "order", elsewhere["id"]),
    }
    assert (run.found, run.remaining) == (5, 5)
    assert reconcile(desk).found == 0  # known differences stay open and are not found a second time
