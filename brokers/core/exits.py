"""Orders with exits: a take-profit, a stop loss, or both, that the broker holds ready."""

from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Any

from brokers.core.order_reader import OrderReader
from brokers.core.orders import ExitRole, Exits, OrderClass, OrderTerms, OrderType, Side, TimeInForce
from brokers.core.reports import OrderReport, ReportedStatus

_FIELDS = {"take_profit": ("limit_price",), "stop_loss": ("stop_price", "limit_price")}


def make_exits(
    order_class: str, take_profit: Decimal | None, stop_loss: Decimal | None, stop_loss_limit: Decimal | None
) -> Exits | None:
    """Return the exits as a row keeps them; None where ``order_class`` is empty."""
    return Exits(OrderClass(order_class), take_profit, stop_loss, stop_loss_limit) if order_class else None


def missing_exits(exits: Exits | None, report: OrderReport) -> frozenset[ExitRole]:
    """Return which exits of an order the broker has refused or does not have; none where the report does not tell."""
    if exits is None or report.legs is None:
        return frozenset()
    wanted = {ExitRole.TAKE_PROFIT: exits.take_profit, ExitRole.STOP_LOSS: exits.stop_loss}
    there = {leg.exit_role for leg in report.legs if leg.status is not ReportedStatus.REJECTED}
    return frozenset(role for role, price in wanted.items() if price is not None) - there


def read_exits(reader: OrderReader, data: Mapping[str, Any]) -> Exits | None:
    """Return the exits asked for, or None; problems are named as ``take_profit.limit_price``.

    ``order_class`` may be left out: with both exits it is a bracket, with one of them an ``oto``.
    """
    if all(data.get(name) is None for name in ("order_class", *_FIELDS)):
        return None
    profit, loss = (_read_exit(reader, data, name) for name in _FIELDS)
    usual = OrderClass.BRACKET if profit is not None and loss is not None else OrderClass.OTO
    return Exits(
        order_class=reader.choice("order_class", OrderClass, usual),
        take_profit=profit.amount("limit_price") if profit else None,
        stop_loss=loss.amount("stop_price") if loss else None,
        stop_loss_limit=loss.amount("limit_price") if loss else None,
    )


def check_exits(terms: OrderTerms, reader: OrderReader) -> None:
    """Note what of an order's exits does not fit together, or not to the order."""
    exits = terms.exits
    if exits is None:
        return
    _check_given(exits, reader)
    if terms.quantity is None or terms.quantity != terms.quantity.to_integral_value():
        reader.problem("quantity", "must be a whole number for an order with exits")
    if terms.time_in_force not in (TimeInForce.DAY, TimeInForce.GTC):
        reader.problem("time_in_force", "must be day or gtc for an order with exits")
    if terms.extended_hours:
        reader.problem("extended_hours", "is not for an order with exits")
    if exits.order_class is OrderClass.OCO and terms.order_type is not OrderType.LIMIT:
        reader.problem("type", "must be limit for oco: the order itself is the take-profit")
    if terms.order_type not in (OrderType.MARKET, OrderType.LIMIT):
        reader.problem("type", "must be market or limit for an order with exits")
    if not reader.problems:
        _check_sides(terms, exits, reader)


def _read_exit(reader: OrderReader, data: Mapping[str, Any], name: str) -> OrderReader | None:
    """Return a reader of one exit's fields, whose problems are the order's, or None where there is none."""
    given = data.get(name)
    if given is None:
        return None
    if not isinstance(given, Mapping) or not given.keys() <= set(_FIELDS[name]) or given.get(_FIELDS[name][0]) is None:
        needed, *others = _FIELDS[name]
        rest = f" and may have {others[0]}" if others else ""
        reader.problem(name, f"must be an object with {needed}{rest}")
        return None
    return reader.within(name, given)


def _check_given(exits: Exits, reader: OrderReader) -> None:
    both = exits.take_profit is not None and exits.stop_loss is not None
    match exits.order_class:
        case OrderClass.BRACKET if not both:
            reader.problem("order_class", "a bracket needs take_profit and stop_loss")
        case OrderClass.OTO if (exits.take_profit is None) == (exits.stop_loss is None):
            reader.problem("order_class", "oto needs either take_profit or stop_loss")
        case OrderClass.OCO if exits.stop_loss is None or exits.take_profit is not None:
            reader.problem("order_class", "oco needs stop_loss alone: its limit_price is the take-profit")


def _check_sides(terms: OrderTerms, exits: Exits, reader: OrderReader) -> None:
    """Note prices in a wrong order: what is bought is sold higher for a profit and lower to end a loss."""
    is_pair = exits.order_class is OrderClass.OCO
    profit = terms.limit_price if is_pair else exits.take_profit
    prices = [profit, None if is_pair else terms.limit_price, exits.stop_loss]
    falling = [price for price in prices if price is not None]
    if (terms.side is Side.SELL) != is_pair:
        falling.reverse()
    if any(higher <= lower for higher, lower in pairwise(falling)):
        where = "limit_price" if is_pair else "take_profit" if profit is not None else "stop_loss"
        reader.problem(where, "profit, limit and loss must lie in this order, away from each other")
