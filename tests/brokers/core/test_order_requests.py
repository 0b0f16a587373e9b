"""Reading orders: what is meant is kept exactly, and everything wrong is named."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.core.order_reader import MAX_DECIMAL_PLACES, MAX_WHOLE_DIGITS, OrderInvalidError
from brokers.core.order_requests import is_usable_idempotency_key, parse_order_request
from brokers.core.orders import OrderType, Side, TimeInForce
from brokers.core.routing import WhenUnavailable

MARKET = {"symbol": "AAPL", "side": "buy", "quantity": "1"}
AMOUNTS = st.integers(1, 10**24 - 1).map(lambda units: Decimal(units).scaleb(-MAX_DECIMAL_PLACES))
LIMITED = (OrderType.LIMIT, OrderType.STOP_LIMIT)
STOPPED = (OrderType.STOP, OrderType.STOP_LIMIT)


def written(amount: Decimal, form: str) -> Any:
    """Return one of the ways to write the same amount."""
    if form == "zeros":
        return format(amount, "f") + ("00" if "." in format(amount, "f") else ".00")
    return {"text": format(amount, "f"), "number": amount, "exponent": f"{amount:E}"}[form]


FORMS = st.sampled_from(("text", "number", "exponent", "zeros"))


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(OrderType))
    body: dict[str, Any] = {
        "symbol": draw(st.from_regex(r"[A-Z0-9][A-Z0-9./_-]{0,31}", fullmatch=True)),
        "side": draw(st.sampled_from(Side)).value,
        "type": kind.value,
        "time_in_force": draw(st.sampled_from(TimeInForce)).value,
        "extended_hours": draw(st.booleans()),
    }
    by_notional = kind is OrderType.MARKET and draw(st.booleans())
    body["notional" if by_notional else "quantity"] = draw(AMOUNTS)
    if kind in LIMITED:
        body["limit_price"] = draw(AMOUNTS)
    if kind in STOPPED:
        body["stop_price"] = draw(AMOUNTS)
    return body


@given(bodies())
def test_what_was_asked_for_is_what_is_read(body: dict[str, Any]) -> None:
    terms = parse_order_request(body).terms

    assert (terms.symbol, terms.side, terms.order_type) == (body["symbol"], body["side"], body["type"])
    assert (terms.time_in_force, terms.extended_hours) == (body["time_in_force"], body["extended_hours"])
    for name in ("quantity", "notional", "limit_price", "stop_price"):
        assert getattr(terms, name) == body.get(name)


@given(bodies(), st.lists(FORMS, min_size=4, max_size=4))
def test_the_fingerprint_depends_on_the_meaning_not_on_the_writing(body: dict[str, Any], forms: list[str]) -> None:
    other = dict(body)
    for name, form in zip(("quantity", "notional", "limit_price", "stop_price"), forms, strict=True):
        if name in body and len(str(written(body[name], form))) <= 40:
            other[name] = written(body[name], form)
    assert parse_order_request(other).request_hash == parse_order_request(body).request_hash


@pytest.mark.parametrize("one", [1, "1", "1.0", "1.00", "1e0", "01", "+1", Decimal("1.0")])
def test_one_is_one_however_it_is_written(one: object) -> None:
    assert parse_order_request({**MARKET, "quantity": one}) == parse_order_request({**MARKET, "quantity": "1"})


@given(bodies(), bodies())
def test_different_orders_have_different_fingerprints(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = parse_order_request(one), parse_order_request(other)
    assert (first.request_hash == second.request_hash) == (first.terms == second.terms)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.integers(), st.lists), st.data())
def test_any_rubbish_is_either_read_or_refused_by_name(rubbish: object, data: st.DataObject) -> None:
    names = ("symbol", "side", "type", "time_in_force", "quantity", "limit_price", "extended_hours", "account", "more")
    name = data.draw(st.sampled_from(names))
    problems: dict[str, list[str]] = {}
    try:
        parse_order_request({**MARKET, name: rubbish})
    except OrderInvalidError as error:
        problems = error.problems
    assert set(problems) <= {name}


NUMBERS_REFUSED = [
    0, -1, "-1", "0", "0.000", "-0", True, False, 1.5, float("nan"), float("inf"), "NaN", "sNaN", "Infinity",
    "-Infinity", "1e400", "1e-400", "1_000", "\uff11", "\u0661", " 1", "1 ", "1,5", "", "0x10", "1e", "--1", "1" * 41,
    [], {}, [1],
    Decimal("1E+400"), Decimal("NaN"), Decimal("1E-10"), 10**40, 10**15, "1000000000000000", "0.0000000001",
    "1.0000000000000000000000000000000000001", Decimal("1.00000000000000000000000000000000000000000001"),
    "123456789012345.0000000000000000001", "1\x00", "\u00b2",
]  # fmt: skip


@pytest.mark.parametrize("name", ["quantity", "limit_price"])
@pytest.mark.parametrize("number", NUMBERS_REFUSED, ids=repr)
def test_a_number_that_cannot_be_taken_exactly_is_refused(name: str, number: object) -> None:
    body = {**MARKET, "type": "limit", "limit_price": "10", name: number}
    with pytest.raises(OrderInvalidError) as caught:
        parse_order_request(body)
    assert list(caught.value.problems) == [name]


@pytest.mark.parametrize("number", ["9" * MAX_WHOLE_DIGITS + "." + "9" * MAX_DECIMAL_PLACES, "0.000000001"])
def test_the_largest_and_the_smallest_amount_are_taken_exactly(number: str) -> None:
    assert parse_order_request({**MARKET, "quantity": number}).terms.quantity == Decimal(number)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"symbol": "aapl"}, "symbol"),
        ({"symbol": ""}, "symbol"),
        ({"symbol": "A" * 33}, "symbol"),
        ({"symbol": "AAPL\n"}, "symbol"),
        ({"symbol": None}, "symbol"),
        ({"symbol": ["AAPL"]}, "symbol"),
        ({"side": "BUY"}, "side"),
        ({"side": None}, "side"),
        ({"side": ["buy"]}, "side"),
        ({"side": {"buy": 1}}, "side"),
        ({"type": "iceberg"}, "type"),
        ({"type": ""}, "type"),
        ({"type": 0}, "type"),
        ({"time_in_force": "forever"}, "time_in_force"),
        ({"extended_hours": "true"}, "extended_hours"),
        ({"extended_hours": 1}, "extended_hours"),
        ({"account": "No Such!"}, "account"),
        ({"account": 0}, "account"),
        ({"account": False}, "account"),
        ({"account": []}, "account"),
        ({"account": {}}, "account"),
        ({"route": "sim-a"}, "route"),
        ({"route": []}, "route"),
        ({"route": ["sim-a", 5]}, "route"),
        ({"route": ["No Such!"]}, "route"),
        ({"route": ["sim-a", "sim-a"]}, "route"),
        ({"route": [f"a{number}" for number in range(9)]}, "route"),
        ({"route": ["sim-a"], "account": "sim-b"}, "route"),
        ({"when_unavailable": "panic"}, "when_unavailable"),
        ({"colour": "red"}, "colour"),
        ({"notional": "5"}, "quantity"),
        ({"quantity": None}, "quantity"),
        ({"type": "limit"}, "limit_price"),
        ({"type": "stop"}, "stop_price"),
        ({"limit_price": "5"}, "limit_price"),
        ({"stop_price": "5"}, "stop_price"),
    ],
)
def test_a_wrong_field_is_named_and_no_other(change: dict[str, Any], field: str) -> None:
    with pytest.raises(OrderInvalidError) as caught:
        parse_order_request({**MARKET, **change})
    assert list(caught.value.problems) == [field]
    assert all(caught.value.problems[field])


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(OrderInvalidError) as caught:
        parse_order_request({"symbol": 5, "side": "hold", "quantity": "-3", "extra": 1})
    assert sorted(caught.value.problems) == ["extra", "quantity", "side", "symbol"]


@pytest.mark.parametrize("data", [None, [], "order", 5, [MARKET]])
def test_an_order_is_an_object(data: object) -> None:
    with pytest.raises(OrderInvalidError) as caught:
        parse_order_request(data)
    assert list(caught.value.problems) == ["order"]


@pytest.mark.parametrize("account", [None, ""])
def test_no_account_means_the_default_one(account: str | None) -> None:
    assert parse_order_request({**MARKET, "account": account}) == parse_order_request(MARKET)


def test_a_route_is_read_in_its_order() -> None:
    read = parse_order_request({**MARKET, "route": ["sim-b", "sim-a"], "when_unavailable": "refuse"})
    assert (read.route, read.when_unavailable) == (("sim-b", "sim-a"), WhenUnavailable.REFUSE)


def test_where_an_order_may_go_is_part_of_its_meaning() -> None:
    wheres: list[dict[str, Any]] = [
        {},
        {"account": "sim-a"},
        {"account": "sim-a", "when_unavailable": "refuse"},
        {"route": ["sim-a", "sim-b"]},
        {"route": ["sim-b", "sim-a"]},
    ]
    assert len({parse_order_request({**MARKET, **where}).request_hash for where in wheres}) == len(wheres)
    named, routed = ({"account": "sim-a"}, {"route": ["sim-a"], "when_unavailable": "hold"})
    assert parse_order_request({**MARKET, **named}) == parse_order_request({**MARKET, **routed})


@given(st.from_regex(r"[\x21-\x7e]{1,128}", fullmatch=True))
def test_printable_keys_are_usable(key: str) -> None:
    assert is_usable_idempotency_key(key)


@pytest.mark.parametrize("key", [None, "", " ", "a b", "é", "a\n", "a\x7f", "x" * 129, 5, ["a"], b"a"])
def test_other_keys_are_not(key: object) -> None:
    assert not is_usable_idempotency_key(key)
