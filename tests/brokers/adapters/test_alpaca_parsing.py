"""Alpaca's messages, parsed: its own examples, and everything that must not pass."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from alpaca.trading.enums import OrderStatus
from hypothesis import given
from hypothesis import strategies as st

from brokers.adapters.alpaca import parsing
from brokers.adapters.alpaca.client import submission_body
from brokers.adapters.errors import BrokerCallError
from brokers.core.orders import OrderTerms, OrderType, Side, TimeInForce
from brokers.core.reports import ReportedStatus
from tests.brokers.adapters.alpaca_contract import order_examples, trading_api, validator

ORDER = order_examples()["/components/examples/EquityOrderResponse/value"]
FILL = trading_api()["components"]["schemas"]["TradingActivities"]["examples"][0]
POSITION = trading_api()["components"]["schemas"]["Position"]["examples"][0]
ACCOUNT = trading_api()["paths"]["/v2/account"]["get"]["responses"]["200"]["content"]["application/json"]["example"]


def test_every_order_of_the_official_description_is_read():
    examples = order_examples()
    assert len(examples) >= 8

    for path, example in examples.items():
        for report in parsing.parse_orders([example]):
            assert report.symbol, path
            assert report.status in ReportedStatus, path


def test_the_fields_of_an_order_arrive_as_they_were_written():
    report = parsing.parse_order(ORDER)

    assert report.broker_order_id == ORDER["id"]
    assert report.client_order_id == ORDER["client_order_id"]
    assert report.quantity == Decimal(ORDER["qty"])
    assert report.filled_quantity == Decimal(ORDER["filled_qty"])
    assert report.reported_at == datetime.fromisoformat(ORDER["updated_at"])


def test_a_multi_leg_order_is_represented_by_its_legs():
    parent = next(order for order in order_examples().values() if order["order_class"] == "mleg" and order["legs"])

    with pytest.raises(parsing.UnsupportedOrderError):
        parsing.parse_order(parent)
    reports = parsing.parse_orders([parent, *parent["legs"]])

    assert [report.broker_order_id for report in reports] == [leg["id"] for leg in parent["legs"]]


def test_every_status_of_the_description_and_of_the_sdk_is_known():
    described = set(trading_api()["components"]["schemas"]["OrderStatus"]["enum"])

    assert described | {status.value for status in OrderStatus} == set(parsing.STATUSES)


@pytest.mark.parametrize(
    ("raw", "filled", "expected"),
    [
        ("pending_cancel", "1", ReportedStatus.WORKING),
        ("held", "0", ReportedStatus.WORKING),
        ("suspended", "0", ReportedStatus.WORKING),
        ("done_for_day", "1", ReportedStatus.WORKING),
        ("calculated", "1", ReportedStatus.WORKING),
        ("calculated", "2", ReportedStatus.FILLED),
        ("partially_filled", "1", ReportedStatus.PARTIALLY_FILLED),
        ("canceled", "1", ReportedStatus.CANCELED),
        ("replaced", "0", ReportedStatus.REPLACED),
    ],
)
def test_a_status_is_read_together_with_its_quantity(raw, filled, expected):
    report = parsing.parse_order({**ORDER, "status": raw, "qty": "2", "filled_qty": filled})

    assert report.status is expected
    assert report.filled_quantity == Decimal(filled)
    assert report.cancel_pending is (raw == "pending_cancel")


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"id": ""},
        {"id": 7},
        {"status": None},
        {"status": "shipped"},
        {"symbol": None},
        {"side": "long"},
        {"filled_qty": None},
        {"filled_qty": "many"},
        {"filled_qty": "1_000"},
        {"filled_qty": "NaN"},
        {"filled_qty": True},
        {"filled_qty": "-1"},
        {"status": "filled", "filled_qty": "0"},
        {"qty": []},
        {"client_order_id": 5},
    ],
)
def test_an_order_with_a_broken_field_is_not_believed(change):
    with pytest.raises(parsing.ParseError):
        parsing.parse_order({**ORDER, **change})


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_message_breaks_the_parser_in_another_way(value):
    for parse in (
        parsing.parse_order,
        parsing.parse_orders,
        parsing.parse_fill,
        parsing.parse_position,
        parsing.parse_account,
        parsing.parse_instrument,
        parsing.parse_trade_update,
    ):
        try:
            parse(value)
        except parsing.ParseError:
            continue


@pytest.mark.parametrize("text", ["", "<html></html>", "NaN", '{"a": Infinity}', "[" * 100_000, "{", "\ud800"])
def test_what_is_not_json_is_a_parse_error(text):
    with pytest.raises(parsing.ParseError):
        parsing.as_object(parsing.parse_json(text))


def test_bytes_that_are_no_text_are_a_parse_error():
    with pytest.raises(parsing.ParseError):
        parsing.parse_json(b'{"a": "\xff"}')


def test_a_number_keeps_every_digit():
    assert parsing.parse_json('{"qty": 0.123456789012345678}')["qty"] == Decimal("0.123456789012345678")


def test_a_fill_activity_is_known_by_the_second_half_of_its_id():
    fill = parsing.parse_fill(FILL)

    assert fill.execution_id == "2d7be4ff-d1f3-43e9-856a-0f5cf5c5088e"
    assert fill.broker_order_id == FILL["order_id"]
    assert (fill.quantity, fill.price, fill.cumulative_quantity) == (2, Decimal("174.78"), 2)
    assert fill.executed_at == datetime(2022, 2, 2, 18, 55, 9, 981482, tzinfo=UTC)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "2022"},
        {"id": "2022::"},
        {"qty": "0"},
        {"price": None},
        {"order_id": None},
        {"transaction_time": "noon"},
        {"transaction_time": "2022-02-02T18:55:09"},
        {"activity_type": "DIV"},
    ],
)
def test_a_fill_with_a_broken_field_is_not_believed(change):
    with pytest.raises(parsing.ParseError):
        parsing.parse_fill({**FILL, **change})


@pytest.mark.parametrize(("side", "quantity"), [("long", "5"), ("short", "-5"), ("short", "5")])
def test_a_short_position_is_negative_however_it_is_written(side, quantity):
    report = parsing.parse_position({**POSITION, "side": side, "qty": quantity})

    assert report.quantity == (5 if side == "long" else -5)


def test_the_account_of_the_description_is_read():
    account = parsing.parse_account(ACCOUNT)

    assert (account.currency, account.cash, account.trading_blocked) == ("USD", Decimal("122086.5"), False)


@pytest.mark.parametrize(
    "change", [{"trading_blocked": True}, {"account_blocked": True}, {"trade_suspended_by_user": True}, {"status": "X"}]
)
def test_an_account_that_may_not_trade_says_so(change):
    assert parsing.parse_account({**ACCOUNT, **change}).trading_blocked


def test_an_event_of_an_unknown_name_still_carries_the_order():
    event = parsing.parse_trade_update({"event": "teleported", "order": ORDER})

    assert (event.name, event.fill) == ("teleported", None)
    assert event.order.broker_order_id == ORDER["id"]


def test_a_fill_event_without_particulars_still_carries_the_order():
    event = parsing.parse_trade_update({"event": "fill", "order": {**ORDER, "filled_qty": "1"}})

    assert event.fill is None
    assert event.order.filled_quantity == 1


_money = st.decimals(Decimal("0.0001"), Decimal("1e9"), allow_nan=False, allow_infinity=False, places=4)


@given(
    st.builds(
        OrderTerms,
        symbol=st.just("AAPL"),
        side=st.sampled_from(Side),
        order_type=st.sampled_from(OrderType),
        time_in_force=st.sampled_from(TimeInForce),
        quantity=_money,
        limit_price=st.none() | _money,
        stop_price=st.none() | _money,
        extended_hours=st.booleans(),
    )
)
def test_every_submission_keeps_the_official_schema_and_every_digit(terms):
    body = json.loads(submission_body("st-1", terms))

    validator("CreateOrderRequest").validate(body)
    assert Decimal(body["qty"]) == terms.quantity
    assert "E" not in body["qty"].upper()


def test_an_amount_of_money_is_sent_without_a_quantity():
    terms = OrderTerms("AAPL", Side.BUY, OrderType.MARKET, TimeInForce.DAY, notional=Decimal("1E+3"))

    body = json.loads(submission_body("st-1", terms))

    validator("CreateOrderRequest").validate(body)
    assert body["notional"] == "1000"
    assert "qty" not in body


@pytest.mark.parametrize(
    ("client_order_id", "quantity"), [("", "1"), ("x" * 129, "1"), ("st-1", "NaN"), ("st-1", "Infinity")]
)
def test_what_could_not_be_found_again_is_never_sent(client_order_id, quantity):
    terms = OrderTerms("AAPL", Side.BUY, OrderType.MARKET, TimeInForce.DAY, quantity=Decimal(quantity))

    with pytest.raises(BrokerCallError, match="VALIDATION_INVALID_ORDER"):
        submission_body(client_order_id, terms)


@pytest.mark.parametrize(
    ("row", "kind", "amount"),
    [
        ({"activity_type": "CSW", "net_amount": "-50"}, "withdrawal", "-50"),
        ({"activity_type": "CSD", "net_amount": "100.10"}, "deposit", "100.10"),
        ({"activity_type": "DIV", "net_amount": "1.02", "symbol": "T"}, "dividend", "1.02"),
        ({"activity_type": "DIVNRA", "net_amount": "-0.15", "symbol": "T"}, "adjustment", "-0.15"),
        ({"activity_type": "FEE", "net_amount": "-0.01"}, "fee", "-0.01"),
        ({"activity_type": "INT", "net_amount": "-3"}, "interest", "-3"),
        ({"activity_type": "JNLC", "net_amount": "-3"}, "withdrawal", "-3"),
        ({"activity_type": "CFEE", "net_amount": "0"}, None, None),
        ({"activity_type": "CSW", "net_amount": "-50", "status": "canceled"}, None, None),
    ],
)
def test_an_activity_that_moves_cash_is_read_as_what_it_is(row: dict[str, str], kind: str, amount: str) -> None:
    found = parsing.parse_cash_movement({"id": "20261126000000000::1", "date": "2026-11-26", **row})

    assert (kind, amount) == (None, None) if found is None else (found.kind, str(found.amount)) == (kind, amount)
    assert found is None or (found.movement_id, found.day.isoformat()) == ("20261126000000000::1", "2026-11-26")


def test_an_activity_without_a_date_is_not_believed() -> None:
    with pytest.raises(parsing.ParseError):
        parsing.parse_cash_movement({"id": "1::1", "activity_type": "CSW", "net_amount": "-50"})
