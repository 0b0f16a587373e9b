"""Fees of executions over the real wires: booked once, out of cash or position, and a fee left out is a difference."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from brokers.core.corporate_actions import CashEntryKind
from brokers.models import Account, Broker, CashEntry, Fill, FillFee, Order, Position, PositionEvent
from brokers.selectors.holdings import list_position_events
from brokers.services.credentials import set_credentials
from reconciliation.core.runs import RunState
from reconciliation.models import ReconciliationMark
from tests.brokers.conformance.exchanges import CCXT_BINANCE, BinanceCounterpart
from tests.brokers.conformance.ib_gateway import GatewayCounterpart
from tests.brokers.conformance.simulated import SimulatedCounterpart, read_address, run_simulator
from tests.brokers.services.orders import submit, sync
from tests.factories import make_user
from tests.fakes import make_due, run_due
from tests.reconciliation.services.test_runs import found, reconcile

pytestmark = pytest.mark.django_db
LONG_AGO = datetime.now(UTC) - timedelta(hours=1)
RATE = ("--fee-rate", "0.001")


@contextmanager
def binance(directory: Path) -> Iterator[BinanceCounterpart]:
    with run_simulator(directory, *RATE, "--fees-from-received") as process:
        counterpart = BinanceCounterpart(process, read_address(process))
        counterpart.warm_up(CCXT_BINANCE)
        yield counterpart


@contextmanager
def gateway(directory: Path) -> Iterator[GatewayCounterpart]:
    with run_simulator(directory, *RATE, "--ib-port", "0", "--ib-account", "DU7654321") as process:
        yield GatewayCounterpart(process, read_address(process), read_address(process))


@contextmanager
def alpaca(directory: Path) -> Iterator[SimulatedCounterpart]:
    with run_simulator(directory, *RATE) as process:
        yield SimulatedCounterpart(process, read_address(process))


def connect(counterpart: SimulatedCounterpart, adapter: str) -> Account:
    """Return the account behind a counterpart, whose first reconciliation is where counting begins."""
    settings = counterpart.settings
    addresses = [url.replace("tcp:", "http:") for url in (settings.base_url, settings.stream_url)]
    broker = Broker.objects.create(
        name="charging", adapter=adapter, base_url=addresses[0], stream_url=addresses[1], call_timeout_ms=10_000
    )
    account = Account.objects.create(name="charged", broker=broker, is_default=True)
    set_credentials(account, dict(settings.credentials))
    assert reconcile(account).state == RunState.CLEAN
    return account


def execute(counterpart: SimulatedCounterpart, account: Account, key: str, quantity: str, **body: Any) -> Order:
    """Have an order filled whole, and let that have happened an hour ago."""
    limit = {"type": "limit", "time_in_force": "gtc", "limit_price": "50", "quantity": quantity, **body}
    accepted = submit(make_user(), key, **limit)
    for _ in range(20):  # a busy machine signs too late for an exchange, which wants it again
        make_due(lane="orders")
        run_due("orders")
        order = Order.objects.get(pk=accepted.id)
        if order.broker_order_id:
            break
    counterpart.fill(order.broker_order_id, Decimal(quantity))
    sync(account)
    at_rest()
    order.refresh_from_db()
    assert order.state == "filled"
    return order


def at_rest() -> None:
    places = {
        "brokers_orderevent": "recorded_at",
        "brokers_fill": "executed_at",
        "brokers_fillfee": "recorded_at",
        "brokers_position": "changed_at",
    }
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table, column in places.items():
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            cursor.execute(f"UPDATE {table} SET {column} = %s", [LONG_AGO])
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def fees() -> list[tuple[str, Decimal, str]]:
    return list(FillFee.objects.order_by("id").values_list("currency", "amount", "symbol"))


def leave_one_fee_out(counterpart: SimulatedCounterpart) -> None:
    counterpart.control("POST", "/sim/faults", {"kind": "withhold_fees", "count": 1})


def test_what_an_exchange_takes_out_of_what_is_bought_and_sold_is_booked_and_one_fee_left_out_is_found(
    tmp_path: Path, fresh_accounts: None
) -> None:
    with binance(tmp_path) as counterpart:
        account = connect(counterpart, "ccxt:binance")
        execute(counterpart, account, "buy", "4", symbol="BTC/USD")
        assert fees() == [("BTC", Decimal("0.004"), "BTC/USD")]
        assert Position.objects.get().quantity == Decimal("3.996")
        execute(counterpart, account, "sell", "1", symbol="BTC/USD", side="sell", limit_price="900000")
        assert fees()[1] == ("USD", Decimal(900), "")

        assert (reconcile(account).state, found()) == (RunState.CLEAN, [])
        cash = ReconciliationMark.objects.get(account=account).cash
        assert cash == Decimal(1_000_000) - 200 + 900_000 - 900
        events = list_position_events("charged", "BTC/USD")
        assert [event["kind"] for event in events] == ["fill", "fee", "fill"]
        assert events[0]["execution_id"] != events[1]["execution_id"] == events[2]["execution_id"]

        leave_one_fee_out(counterpart)
        execute(counterpart, account, "more", "4", symbol="BTC/USD")
        reconcile(account)
        assert found() == [("position", "BTC/USD", "open", "freeze")]
        assert Position.objects.get().quantity == Decimal("6.996"), "the broker holds 6.992"


def test_commissions_of_a_gateway_are_booked_as_cash_and_one_left_out_is_found(
    tmp_path: Path, fresh_accounts: None
) -> None:
    with gateway(tmp_path) as counterpart:
        account = connect(counterpart, "ib")
        execute(counterpart, account, "buy", "4", symbol="AAPL")
        assert fees() == [("USD", Decimal("0.2"), "")]
        assert Position.objects.get().quantity == 4

        assert (reconcile(account).state, found()) == (RunState.CLEAN, [])
        assert ReconciliationMark.objects.get(account=account).cash == Decimal("999799.8")

        leave_one_fee_out(counterpart)
        execute(counterpart, account, "more", "4", symbol="AAPL")
        reconcile(account)
        assert found() == [("cash", "USD", "open", "person")]


def test_what_moves_cash_beside_executions_is_listed_in_pages_and_booked_and_what_is_left_out_is_found(
    tmp_path: Path, fresh_accounts: None
) -> None:
    with alpaca(tmp_path) as counterpart:
        account = connect(counterpart, "alpaca")
        counterpart.control("POST", "/sim/cash", {"type": "DIV", "amount": "12.50", "symbol": "AAPL"})
        counterpart.control("POST", "/sim/cash", {"type": "CSW", "amount": "-300"})
        for _ in range(104):  # more than a page
            counterpart.control("POST", "/sim/cash", {"type": "CSD", "amount": "1"})
        execute(counterpart, account, "buy", "4", symbol="AAPL")

        assert (reconcile(account).state, found(), fees()) == (RunState.CLEAN, [], [])
        booked = CashEntry.objects.filter(account=account)
        assert booked.count() == 107
        assert booked.get(kind=CashEntryKind.DIVIDEND).symbol == "AAPL"
        assert booked.get(kind=CashEntryKind.FEE).amount == Decimal("-0.2")
        assert reconcile(account).state == RunState.CLEAN
        assert booked.count() == 107, "listed again, booked once"

        leave_one_fee_out(counterpart)
        execute(counterpart, account, "more", "4", symbol="AAPL")
        reconcile(account)
        assert found() == [("cash", "USD", "open", "person")]
        assert Fill.objects.count() == 2
        assert PositionEvent.objects.filter(fee=None).count() == 2
