"""The statements that find a few differing rows in a million let through just what the pure functions name."""

import random
from dataclasses import replace
from decimal import Decimal

import pytest
from django.utils import timezone

from brokers.adapters.alpaca.client import ALPACA
from brokers.core.orders import OrderState, Side
from brokers.core.records import RecordedOrder
from brokers.core.reports import OrderReport, ReportedStatus
from brokers.models import Account, Order
from reconciliation.core.matching import find_recorded, match_orders
from reconciliation.core.runs import GRACE
from reconciliation.models import Discrepancy, ReconciliationRun
from reconciliation.services import staging
from reconciliation.services.comparing import compare_all
from reconciliation.services.runs import begin, get_mark
from tests.factories import make_account, make_order, make_user

pytestmark = pytest.mark.django_db

STATES = [OrderState.WORKING, OrderState.PARTIALLY_FILLED, OrderState.SENDING, OrderState.UNKNOWN, OrderState.CANCELED]


def plain(order: Order) -> RecordedOrder:
    return RecordedOrder(
        order.pk, order.client_order_id, order.broker_order_id, order.symbol, Side(order.side), order.quantity,
        order.filled_quantity, order.limit_price, OrderState(order.state),
    )  # fmt: skip


def random_side(chance: random.Random, account: Account) -> tuple[list[Order], list[OrderReport]]:
    """Make orders and what is reported of them: the same, changed in one value, or only on one side."""
    owner = make_user()
    orders, reports = [], []
    for number in range(60):
        state = chance.choice(STATES)
        named = "" if state in (OrderState.SENDING, OrderState.UNKNOWN) and chance.random() < 0.7 else f"b-{number}"
        market = chance.random() < 0.2
        order = make_order(
            account, owner, state=state, broker_order_id=named, symbol=chance.choice(["AAPL", "MSFT"]),
            limit_price=None if market else Decimal("12.50"), version=1,
        )  # fmt: skip
        report = OrderReport(
            order.client_order_id, f"b-{number}", ReportedStatus.WORKING, order.symbol, Side.BUY, Decimal(0),
            Decimal("10.000"), limit_price=Decimal("12.5"),
        )  # fmt: skip
        change = chance.choice([
            {}, {}, {"filled_quantity": Decimal(3)}, {"quantity": Decimal(11)}, {"limit_price": Decimal(1)},
            {"limit_price": None, "quantity": None}, {"symbol": "TSLA"}, {"side": Side.SELL},
            {"client_order_id": "", "broker_order_id": f"hand-{number}"}, {"client_order_id": f"st-lost-{number}"},
            {"broker_order_id": f"twice-{number}"},
        ])  # fmt: skip
        fate = chance.random()
        if fate > 0.1:
            reports.append(replace(report, **change))
        if fate < 0.9:
            orders.append(order)
        else:
            Order.objects.filter(pk=order.pk).update(client_order_id=f"gone-{number}", broker_order_id=f"gone-{number}")
            Order.objects.filter(pk=order.pk).update(finished_at=timezone.now(), state="canceled")
    return list(Order.objects.filter(pk__in=[one.pk for one in orders])), reports


@pytest.mark.parametrize("seed", range(4))
def test_both_name_the_same_differences_of_orders(seed: int) -> None:
    account = make_account("desk")
    orders, reports = random_side(random.Random(seed), account)
    run = ReconciliationRun.objects.create(account=account, kind="full", trigger="test", requested_by="tests")
    begin(run)
    run.marks["account"] = {"currency": "USD", "cash": "0"}
    run.orders_reported = staging.put_orders(run.pk, reports)
    compare_all(run, get_mark(account.pk), ALPACA.capabilities)

    found = set(Discrepancy.objects.filter(subject_type="order").values_list("kind", "subject"))
    # One that is not final is expected in the broker's list once the broker has named it; the others are there to
    # be found by reports alone.
    listed = [plain(one) for one in orders if one.finished_at is None and one.broker_order_id]
    aside = [plain(one) for one in orders if one.finished_at is not None or not one.broker_order_id]
    by_id = {name: one for one in aside for name in (one.client_order_id, one.broker_order_id) if name}
    pairs = [(find_recorded(by_id, one.broker_order_id, one.client_order_id), one) for one in reports]
    since = run.asked_at - GRACE
    expected = match_orders(listed, [one for ours, one in pairs if ours is None], since)
    for ours, one in pairs:
        expected += match_orders([ours], [one], since) if ours is not None else []
    assert found == {(one.kind.value, one.subject) for one in expected}
    assert len(found) > 10
