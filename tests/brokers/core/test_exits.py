"""Reading orders with exits: what fits together is kept exactly, and what does not is named."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.core.baskets import parse_basket_request
from brokers.core.order_reader import OrderInvalidError
from brokers.core.order_requests import parse_order_request
from brokers.core.orders import Exits, OrderClass

ENTRY: dict[str, Any] = {"symbol": "AAPL", "side": "buy", "quantity": "10"}
PROFIT, LOSS = {"limit_price": "120"}, {"stop_price": "90"}


def problems(**fields: Any) -> dict[str, list[str]]:
    with pytest.raises(OrderInvalidError) as caught:
        parse_order_request(ENTRY | fields)
    return caught.value.problems


@pytest.mark.parametrize(
    ("fields", "exits"),
    [
        ({"take_profit": PROFIT, "stop_loss": LOSS}, Exits(OrderClass.BRACKET, Decimal(120), Decimal(90))),
        ({"take_profit": PROFIT}, Exits(OrderClass.OTO, Decimal(120))),
        ({"stop_loss": LOSS | {"limit_price": "89"}}, Exits(OrderClass.OTO, None, Decimal(90), Decimal(89))),
        (
            {"order_class": "oco", "side": "sell", "type": "limit", "limit_price": "120", "stop_loss": LOSS},
            Exits(OrderClass.OCO, None, Decimal(90)),
        ),
        (
            {"side": "sell", "take_profit": {"limit_price": "80"}, "stop_loss": {"stop_price": "130"}},
            Exits(OrderClass.BRACKET, Decimal(80), Decimal(130)),
        ),
    ],
)
def test_exits_are_read_and_their_class_follows_from_them(fields: dict[str, Any], exits: Exits) -> None:
    assert parse_order_request(ENTRY | fields).terms.exits == exits


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"order_class": "bracket", "take_profit": PROFIT}, "order_class"),
        ({"order_class": "oto", "take_profit": PROFIT, "stop_loss": LOSS}, "order_class"),
        ({"order_class": "oco", "type": "limit", "limit_price": "80", "take_profit": PROFIT}, "order_class"),
        ({"order_class": "oto"}, "order_class"),
        ({"order_class": "mleg", "take_profit": PROFIT}, "order_class"),
        ({"take_profit": {}}, "take_profit"),
        ({"take_profit": "120"}, "take_profit"),
        ({"stop_loss": {"limit_price": "90"}}, "stop_loss"),
        ({"stop_loss": LOSS | {"trail": "1"}}, "stop_loss"),
        ({"take_profit": {"limit_price": "-1"}}, "take_profit.limit_price"),
        ({"take_profit": PROFIT, "quantity": "1.5"}, "quantity"),
        ({"take_profit": PROFIT, "quantity": None, "notional": "100"}, "quantity"),
        ({"take_profit": PROFIT, "time_in_force": "ioc"}, "time_in_force"),
        ({"take_profit": PROFIT, "type": "stop", "stop_price": "130"}, "type"),
        ({"order_class": "oco", "stop_loss": LOSS}, "type"),
        ({"take_profit": {"limit_price": "80"}, "stop_loss": LOSS}, "take_profit"),
        ({"take_profit": PROFIT, "type": "limit", "limit_price": "121"}, "take_profit"),
        ({"stop_loss": LOSS, "type": "limit", "limit_price": "90"}, "stop_loss"),
    ],
)
def test_what_does_not_fit_together_is_named(fields: dict[str, Any], named: str) -> None:
    assert list(problems(**fields)) == [named]


@given(st.integers(1, 1000), st.integers(1, 1000), st.sampled_from(["buy", "sell"]))
def test_a_bracket_is_taken_exactly_when_its_exits_are_on_their_sides(profit: int, loss: int, side: str) -> None:
    order = ENTRY | {"side": side, "take_profit": {"limit_price": profit}, "stop_loss": {"stop_price": loss}}
    fits = profit > loss if side == "buy" else profit < loss
    if fits:
        assert parse_order_request(order).terms.exits is not None
    else:
        with pytest.raises(OrderInvalidError):
            parse_order_request(order)


def test_other_exits_are_another_meaning_and_none_the_former_one() -> None:
    plain, spelled = parse_order_request(ENTRY), parse_order_request(ENTRY | {"take_profit": None})
    one, same = (parse_order_request(ENTRY | {"take_profit": {"limit_price": price}}) for price in ("120", "120.0"))
    other = parse_order_request(ENTRY | {"take_profit": {"limit_price": "121"}})
    assert plain.request_hash == spelled.request_hash
    assert one.request_hash == same.request_hash
    assert len({plain.request_hash, one.request_hash, other.request_hash}) == 3


def test_the_legs_of_a_basket_bring_no_exits() -> None:
    with pytest.raises(OrderInvalidError) as caught:
        parse_basket_request({"legs": [ENTRY, ENTRY | {"take_profit": PROFIT}]})
    assert list(caught.value.problems) == ["legs[1].order_class"]
