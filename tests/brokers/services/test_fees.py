"""Fees that executions tell: with the execution or later, each once, in whatever order they come."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction

from brokers.core.reports import Fee
from brokers.models import Account, FillFee, OrderEvent, Position, PositionChange
from brokers.services.fills import book_told_fees
from brokers.services.history.rebuilding import compare_orders
from brokers.services.holdings import put_in_order
from brokers.services.synchronization import record_evidence
from tests.brokers.services.orders import submit
from tests.factories import make_user
from tests.fakes import FakeBroker, run_due

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def fees() -> list[tuple[str, Decimal, str]]:
    return list(FillFee.objects.order_by("id").values_list("currency", "amount", "symbol"))


def test_a_fee_told_with_its_execution_is_in_the_history_and_moves_the_position_once(
    broker: FakeBroker, account: Account
) -> None:
    order = submit(make_user(), "k", symbol="BTC/USDT")
    run_due("orders")
    fill = broker.execute(order.client_order_id, 10, fees=(Fee(Decimal("0.5"), "BTC"), Fee(Decimal("0.1"), "BNB")))
    for source in ("stream", "poll", "stream"):
        record_evidence(account.pk, list(broker.orders.values()), [fill], source)

    assert sorted(fees()) == [("BNB", Decimal("0.1"), "BNB/USDT"), ("BTC", Decimal("0.5"), "BTC/USDT")]
    held = dict(Position.objects.values_list("symbol", "quantity"))
    assert held == {"BTC/USDT": Decimal("9.5"), "BNB/USDT": Decimal("-0.1")}
    assert OrderEvent.objects.get(order_id=order.id, kind="fill").evidence["fees"] == "0.5 BTC, 0.1 BNB"
    assert [str(one) for progress in compare_orders() for one in progress.differences] == []


def test_a_fee_told_later_is_booked_with_the_execution_it_belongs_to(broker: FakeBroker, account: Account) -> None:
    order = submit(make_user(), "k", symbol="BTC/USDT")
    run_due("orders")
    fill = broker.execute(order.client_order_id, 10)
    record_evidence(account.pk, list(broker.orders.values()), [fill], "stream")
    assert fees() == []

    told = replace(fill, fees=(Fee(Decimal("0.5"), "BTC"),))
    record_evidence(account.pk, [], [told], "poll")
    book_told_fees(account.pk, [told, fill])
    assert fees() == [("BTC", Decimal("0.5"), "BTC/USDT")]
    assert Position.objects.get().quantity == Decimal("9.5")


def test_a_fee_of_an_execution_placed_elsewhere_is_booked_too(broker: FakeBroker, account: Account) -> None:
    placed = broker.place("elsewhere", symbol="BTC/USDT")
    fill = broker.execute("elsewhere", 10)
    record_evidence(account.pk, [], [fill], "poll", external={placed.broker_order_id})
    record_evidence(account.pk, [], [replace(fill, fees=(Fee(Decimal(1), "BTC"),))], "poll")
    assert Position.objects.get().quantity == 9


def test_executions_that_came_in_another_order_are_reckoned_again_together_with_their_fees(
    broker: FakeBroker, account: Account
) -> None:
    order = submit(make_user(), "k", symbol="BTC/USDT")
    run_due("orders")
    first = broker.execute(order.client_order_id, 4, price=100, executed_at=NOON, fees=(Fee(Decimal(1), "BTC"),))
    later = broker.execute(order.client_order_id, 6, price=200, executed_at=NOON + timedelta(seconds=1))
    record_evidence(account.pk, [], [later], "stream")
    record_evidence(account.pk, [], [first], "poll")
    before = Position.objects.get()
    assert put_in_order(account.pk, "BTC/USDT", by="tests")

    after = Position.objects.get()
    assert (after.quantity, before.quantity) == (9, 9)
    assert (before.realized_profit, after.realized_profit) == (-160, -100), "the fee was paid in what cost 100"
    assert PositionChange.objects.get().kind == "reordered"


def test_a_fee_that_was_booked_stays_as_it_is(broker: FakeBroker, account: Account) -> None:
    order = submit(make_user(), "k", symbol="BTC/USDT")
    run_due("orders")
    fill = broker.execute(order.client_order_id, 10, fees=(Fee(Decimal(1), "USDT"),))
    record_evidence(account.pk, [], [fill], "poll")
    record_evidence(account.pk, [], [replace(fill, fees=(Fee(Decimal(2), "USDT"),))], "poll")
    assert fees() == [("USDT", Decimal(1), "")]
    with pytest.raises(DatabaseError, match="append"), transaction.atomic():
        FillFee.objects.update(amount=Decimal(3))
