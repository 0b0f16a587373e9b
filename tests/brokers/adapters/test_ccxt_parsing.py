"""ccxt's structures and Binance's events as reports: exact numbers, and nothing believed that is not there."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.adapters.ccxt.binance_stream import parse_execution_report, signed
from brokers.adapters.ccxt.errors import ParseError
from brokers.adapters.ccxt.parsing import (
    order_key,
    parse_account,
    parse_acknowledgement,
    parse_instruments,
    parse_order,
    parse_positions,
    parse_trade,
    split_order_key,
)
from brokers.core.orders import Side
from brokers.core.reports import OrderReport, ReportedStatus

ORDER = {
    "id": "28",
    "clientOrderId": "st-a",
    "symbol": "BTC/USDT",
    "side": "buy",
    "status": "open",
    "amount": "0.50000000",
    "filled": "0.12345678",
    "price": "1000.00",
    "average": "999.5",
    "timestamp": 1507725176595,
}
TRADE = {
    "id": "28457",
    "order": "100234",
    "symbol": "BNB/BTC",
    "side": "buy",
    "amount": "12.00000000",
    "price": "4.00000100",
    "timestamp": 1499865549590,
}
BALANCE = {
    "info": {"uid": "354937868", "canTrade": True},
    "BTC": {"free": "4.1", "used": "0.4", "total": "4.5"},
    "USDT": {"free": "90", "used": "10", "total": "100"},
    "DUST": {"free": "0", "used": "0", "total": "0"},
    "total": {"BTC": "4.5", "USDT": "100", "DUST": "0"},
}
# "Order Update", User Data Streams, Binance Spot API documentation.
REPORT = {
    "e": "executionReport", "E": 1499405658658, "s": "ETHBTC", "c": "mUvoqJxFIILMdfAW5iGSOW", "S": "BUY", "o": "LIMIT",
    "f": "GTC", "q": "1.00000000", "p": "0.10264410", "P": "0.00000000", "F": "0.00000000", "g": -1, "C": "",
    "x": "NEW", "X": "NEW", "r": "NONE", "i": 4293153, "l": "0.00000000", "z": "0.00000000", "L": "0.00000000",
    "n": "0", "N": None, "T": 1499405658657, "t": -1, "I": 8641984, "w": True, "m": False, "M": False,
    "O": 1499405658657, "Z": "0.00000000", "Y": "0.00000000", "Q": "0.00000000",
}  # fmt: skip
amounts = st.decimals(min_value="0.00000001", max_value=10**9, places=8)


def event(**changes):
    return parse_execution_report({**REPORT, **changes}, lambda market: "ETH/BTC")


def test_an_order_is_read_with_every_digit():
    order = parse_order(ORDER, {})

    assert order.broker_order_id == "BTC/USDT:28"
    assert (order.quantity, order.filled_quantity) == (Decimal("0.50000000"), Decimal("0.12345678"))
    assert (order.limit_price, order.average_price) == (Decimal("1000.00"), Decimal("999.5"))
    assert order.status is ReportedStatus.PARTIALLY_FILLED
    assert order.reported_at == datetime(2017, 10, 11, 12, 32, 56, 595000, tzinfo=UTC)


@given(amounts, amounts)
def test_numbers_pass_through_unchanged(amount, price):
    order = parse_order({**ORDER, "amount": str(amount), "filled": "0", "price": str(price)}, {})

    assert (order.quantity, order.limit_price) == (amount, price)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, value) for field in ("id", "symbol", "side", "status", "filled") for value in (None, "", [])),
        *((field, 7.5) for field in ("id", "symbol", "side", "status")),
        *((field, "nonsense") for field in ("side", "status", "filled")),
    ],
)
def test_an_order_without_what_decides_is_not_believed(field, value):
    with pytest.raises(ParseError):
        parse_order({**ORDER, field: value}, {})


@pytest.mark.parametrize(
    ("status", "filled", "reported"),
    [
        ("open", "0", ReportedStatus.WORKING),
        ("closed", "0.5", ReportedStatus.FILLED),
        ("closed", "0.2", ReportedStatus.CANCELED),
        ("canceled", "0.2", ReportedStatus.CANCELED),
        ("expired", "0", ReportedStatus.EXPIRED),
        ("rejected", "0", ReportedStatus.REJECTED),
    ],
)
def test_an_order_that_is_closed_is_filled_only_if_all_of_it_traded(status, filled, reported):
    assert parse_order({**ORDER, "status": status, "filled": filled}, {}).status is reported


def test_a_filled_order_that_traded_nothing_is_not_believed():
    with pytest.raises(ParseError):
        parse_order({**ORDER, "status": "closed", "filled": "0"}, {})


def test_a_bare_acknowledgement_is_taken_for_what_was_asked():
    asked = OrderReport("st-a", "", ReportedStatus.WORKING, "BTC/USDT", Side.SELL, Decimal(0), quantity=Decimal(2))

    order = parse_acknowledgement({"id": "OID-1", "status": None}, asked, {})

    assert (order.broker_order_id, order.client_order_id, order.side) == ("BTC/USDT:OID-1", "st-a", Side.SELL)
    assert (order.status, order.quantity) == (ReportedStatus.WORKING, 2)
    with pytest.raises(ParseError):
        parse_acknowledgement({"id": None}, asked, {})


@given(
    st.from_regex(r"[A-Z0-9][A-Z0-9./_-]{0,11}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True),
)
def test_an_order_key_is_taken_apart_as_it_was_put_together(symbol, order_id):
    assert split_order_key(order_key(symbol, order_id)) == (symbol, order_id)


@pytest.mark.parametrize("key", ["", "..", "28", "BTC/USDT:", ":28", "BTC/USDT:2 8", "btc:1", "BTC/USDT:1/../2"])
def test_what_is_no_order_key_is_none(key):
    assert split_order_key(key) is None


def test_trades_of_two_symbols_with_one_number_are_two_executions():
    first, second = parse_trade(TRADE), parse_trade({**TRADE, "symbol": "ETH/BTC"})

    assert first.execution_id == "BNB/BTC:28457"
    assert first.execution_id != second.execution_id
    assert (first.broker_order_id, first.quantity, first.price) == ("BNB/BTC:100234", 12, Decimal("4.000001"))


@pytest.mark.parametrize("change", [{"order": None}, {"id": None}, {"amount": "0"}, {"timestamp": None}, {"side": "x"}])
def test_a_trade_that_cannot_be_booked_is_not_believed(change):
    with pytest.raises(ParseError):
        parse_trade({**TRADE, **change})


def test_balances_become_positions_and_one_account():
    positions = parse_positions(BALANCE, "USDT", {"BTC/USDT"})
    account = parse_account(BALANCE, "USDT", "desk")

    assert [(position.symbol, position.quantity) for position in positions] == [("BTC/USDT", Decimal("4.5"))]
    assert (account.broker_account_id, account.cash, account.buying_power) == ("354937868", 100, 90)
    assert account.trading_blocked is False
    assert parse_account({**BALANCE, "info": {"canTrade": False}}, "USDT", "desk").trading_blocked is True


@pytest.mark.parametrize(
    "balance", ["<html>", None, {}, {"total": {}}, {"total": {}, "BTC": {"free": None, "total": None}}]
)
def test_a_balance_that_says_nothing_is_not_flat(balance):
    with pytest.raises(ParseError):
        parse_positions(balance, "USDT", set())


@pytest.mark.parametrize("markets", ["<html>", None, [], [{"spot": False}]])
def test_no_markets_are_no_list_of_instruments(markets):
    with pytest.raises(ParseError):
        parse_instruments(markets)


def test_the_published_execution_report_is_a_working_order():
    update = event()

    assert (update.name, update.fill) == ("new", None)
    assert (update.order.broker_order_id, update.order.client_order_id) == ("ETH/BTC:4293153", "mUvoqJxFIILMdfAW5iGSOW")
    assert (update.order.status, update.order.quantity) == (ReportedStatus.WORKING, 1)


def test_a_trade_has_the_same_name_in_the_stream_and_in_the_list():
    update = event(x="TRADE", X="PARTIALLY_FILLED", l="0.25", z="0.75", L="0.10", Z="0.07", t=28457)

    listed = parse_trade({**TRADE, "symbol": "ETH/BTC", "order": "4293153"})
    assert update.fill.execution_id == listed.execution_id
    assert update.fill.broker_order_id == listed.broker_order_id
    assert (update.fill.quantity, update.fill.cumulative_quantity) == (Decimal("0.25"), Decimal("0.75"))


def test_a_cancel_is_about_the_order_and_not_about_the_cancel():
    assert event(x="CANCELED", X="CANCELED", c="of-the-cancel", C="ours").order.client_order_id == "ours"


@pytest.mark.parametrize(
    "change", [{"X": "GONE"}, {"i": "7"}, {"i": None}, {"S": ""}, {"q": "x"}, {"z": "-1"}, {"T": None}]
)
def test_a_report_that_cannot_be_believed_is_an_error(change):
    with pytest.raises(ParseError):
        event(**change)


def test_the_signature_is_that_of_the_published_example():
    # "Signed request example (HMAC)" of the websocket API, Binance Spot API documentation.
    params = {
        "symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01000000",
        "price": "52000.00", "newOrderRespType": "ACK", "recvWindow": 100, "timestamp": 1645423376532,
        "apiKey": "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
    }  # fmt: skip
    secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"

    assert signed(params, secret)["signature"] == "cc15477742bd704c29492d96c7ead9414dfd8e0ec4a00f947bb5bb454ddbd08a"
