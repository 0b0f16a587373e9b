"""Brackets, one-triggers-other and one-cancels-other at the simulated broker, by its rules and through alpaca-py."""

import json
from decimal import Decimal

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderClass as SdkClass
from alpaca.trading.enums import OrderSide, OrderStatus, QueryOrderStatus
from alpaca.trading.enums import TimeInForce as SdkTime
from alpaca.trading.requests import (
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    StopLossRequest,
    TakeProfitRequest,
)

from brokers.simulator.account import Account
from brokers.simulator.book import Book
from brokers.simulator.entry import cancel_order
from brokers.simulator.orders import OrderClass, OrderType, Side, Status, TimeInForce
from tests.brokers.simulator.alpaca_spec import check_response
from tests.brokers.simulator.test_trading import Bench

ABOVE, BELOW = Decimal(10_000), Decimal("0.01")


def whole_fills() -> Bench:
    return Bench(partial_probability=0)


def put(bench: Bench, price: Decimal) -> None:
    bench.venue.put_price("AAPL", price, held=True)
    bench.tick()


def bracket(bench: Bench, **fields):
    given = {"order_class": OrderClass.BRACKET, "time_in_force": TimeInForce.GTC, "take_profit": Decimal(300)}
    put(bench, Decimal(200))
    entry = bench.submit(**(given | {"stop_loss": Decimal(100)} | fields))
    return entry, *bench.venue.book.legs[entry.id]


def statuses(*orders):
    return [order.status for order in orders]


def test_exits_wait_until_the_whole_entry_has_filled():
    bench = whole_fills()
    entry, profit, loss = bracket(bench, type=OrderType.LIMIT, limit_price=Decimal(150))
    bench.tick(3)
    assert statuses(entry, profit, loss) == [Status.NEW, Status.HELD, Status.HELD]
    assert (profit.side, profit.quantity, profit.limit_price) == (Side.SELL, entry.quantity, 300)

    bench.venue.fill(entry, Decimal(4), Decimal(150))
    bench.tick()
    assert statuses(profit, loss) == [Status.HELD, Status.HELD]
    bench.venue.fill(entry, Decimal(6), Decimal(150))
    bench.tick(2)
    assert statuses(entry, profit, loss) == [Status.FILLED, Status.NEW, Status.HELD]


@pytest.mark.parametrize(("price", "ended"), [(400, ["filled", "canceled"]), (50, ["canceled", "filled"])])
def test_one_exit_fills_and_ends_the_other(price, ended):
    bench = whole_fills()
    entry, profit, loss = bracket(bench)
    bench.tick(3)
    assert entry.status is Status.FILLED
    put(bench, Decimal(price))
    bench.tick(3)
    assert statuses(profit, loss) == ended
    assert bench.venue.book.account.quantity_of("AAPL") == 0


def test_a_stop_loss_is_for_what_the_take_profit_left():
    bench = whole_fills()
    _, profit, loss = bracket(bench)
    bench.tick(3)
    bench.venue.fill(profit, Decimal(4), Decimal(300))
    put(bench, Decimal(50))
    bench.tick(3)
    assert statuses(profit, loss) == [Status.CANCELED, Status.FILLED]
    assert (profit.filled_quantity, loss.filled_quantity) == (4, 6)
    assert bench.venue.book.account.quantity_of("AAPL") == 0


@pytest.mark.parametrize("number", [0, 1, 2])
def test_canceling_one_order_of_a_bracket_ends_what_hangs_on_it(number):
    bench = whole_fills()
    orders = bracket(bench, type=OrderType.LIMIT, limit_price=Decimal(150))
    if number:
        put(bench, Decimal(120))
        bench.tick(2)
        assert orders[0].status is Status.FILLED
    cancel_order(bench.venue, orders[number])
    bench.tick(3)
    assert statuses(*orders[1:]) == [Status.CANCELED, Status.CANCELED]


def test_one_cancels_other_needs_no_entry():
    bench = whole_fills()
    put(bench, Decimal(200))
    bench.submit(quantity=Decimal(10))
    bench.tick(2)
    pair = {"order_class": OrderClass.OCO, "side": Side.SELL, "type": OrderType.LIMIT, "limit_price": Decimal(300)}
    profit = bench.submit(**pair, take_profit=Decimal(300), stop_loss=Decimal(100))
    (loss,) = bench.venue.book.legs[profit.id]
    bench.tick(2)
    assert statuses(profit, loss) == [Status.NEW, Status.HELD]
    put(bench, Decimal(90))
    bench.tick(3)
    assert statuses(profit, loss) == [Status.CANCELED, Status.FILLED]
    assert bench.venue.book.account.quantity_of("AAPL") == 0


def test_a_single_exit_works_once_its_entry_filled():
    bench = whole_fills()
    entry, loss = bracket(bench, order_class=OrderClass.OTO, take_profit=None)
    bench.tick(3)
    assert statuses(entry, loss) == [Status.FILLED, Status.NEW]
    put(bench, Decimal(50))
    bench.tick(3)
    assert loss.status is Status.FILLED


def test_a_replayed_ledger_gives_the_same_groups():
    bench = whole_fills()
    bracket(bench)
    bench.tick(3)
    put(bench, Decimal(50))
    bench.tick(3)
    again = Book(Account(Decimal(100_000)))
    for line in bench.lines:
        again.apply(json.loads(line))
    assert again.orders == bench.venue.book.orders
    assert again.legs.keys() == bench.venue.book.legs.keys()


# -- through alpaca-py ----------------------------------------------------------------------


@pytest.fixture
def client(simulator):
    client = TradingClient("test-key", "test-secret", url_override=simulator.url)
    client._session.hooks["response"].append(check_response)
    return client


def sdk_bracket(**fields):
    terms = {"symbol": "MSFT", "qty": 3, "side": OrderSide.BUY, "time_in_force": SdkTime.GTC, "limit_price": 2}
    exits = {"take_profit": TakeProfitRequest(limit_price=9000), "stop_loss": StopLossRequest(stop_price=1)}
    return LimitOrderRequest(**(terms | {"order_class": SdkClass.BRACKET} | exits | fields))


def test_the_sdk_sees_a_bracket_as_one_order_with_two_legs(client, eventually):
    entry = client.submit_order(sdk_bracket())
    assert (entry.order_class, entry.status, len(entry.legs)) == (SdkClass.BRACKET, OrderStatus.NEW, 2)
    profit, loss = entry.legs
    assert (profit.limit_price, loss.stop_price, profit.status) == ("9000", "1", OrderStatus.HELD)

    nested = client.get_order_by_id(entry.id, GetOrderByIdRequest(nested=True))
    assert [leg.id for leg in nested.legs] == [profit.id, loss.id]
    open_ones = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN, nested=True, limit=500))
    assert {profit.id, loss.id}.isdisjoint(order.id for order in open_ones)

    client.cancel_order_by_id(entry.id)
    eventually(lambda: client.get_order_by_id(loss.id).status is OrderStatus.CANCELED)


def test_the_sdk_sees_the_exits_of_a_filled_entry_work(client, eventually):
    order = MarketOrderRequest(
        symbol="KO",
        qty=2,
        side=OrderSide.BUY,
        time_in_force=SdkTime.DAY,
        order_class=SdkClass.BRACKET,
        take_profit=TakeProfitRequest(limit_price=9000),
        stop_loss=StopLossRequest(stop_price=1, limit_price=0.5),
    )
    entry = client.submit_order(order)
    eventually(lambda: client.get_order_by_id(entry.legs[0].id).status is OrderStatus.NEW)
    assert client.get_order_by_id(entry.id).status is OrderStatus.FILLED


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"qty": 1.5, "time_in_force": SdkTime.DAY}, "fractional"),
        ({"time_in_force": SdkTime.IOC}, "DAY or GTC"),
        ({"take_profit": TakeProfitRequest(limit_price=0.5)}, "beyond"),
    ],
)
def test_brackets_that_do_not_fit_are_refused(client, fields, message):
    with pytest.raises(APIError) as refusal:
        client.submit_order(sdk_bracket(**fields))
    assert refusal.value.status_code == 422
    assert message in refusal.value.message
