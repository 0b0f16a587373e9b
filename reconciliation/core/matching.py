"""Comparing what we recorded with what the broker reports: values in, differences out, no database and no clock.

A set-based statement finds the few pairs out of a million that differ; these functions say what differs.
``match_orders`` does both for small sets, and is what the statement is tested against.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.core.client_order_id import PREFIX
from brokers.core.orders import FINAL_STATES, STATE_RANK
from brokers.core.records import RecordedFill, RecordedOrder, RecordedPosition
from brokers.core.reports import FillReport, OrderReport, PositionReport
from reconciliation.core.discrepancy import Difference, DiscrepancyKind, Standing, SubjectType

PRICE_TOLERANCE = Decimal("0.0001")  # share of the price: brokers round averages, and nobody trades on the rest
PRICE_DIGITS = 6
ZERO = Decimal(0)


def match_orders(
    recorded: Iterable[RecordedOrder], reported: Iterable[OrderReport], since: datetime
) -> list[Difference]:
    """Return every difference between two sets of open orders, matched as ``find_recorded`` does."""
    ours = list(recorded)
    by_id = {name: order for order in ours for name in (order.client_order_id, order.broker_order_id) if name}
    found: list[Difference] = []
    matched: set[str] = set()
    for report in {report.broker_order_id: report for report in reported}.values():
        order = find_recorded(by_id, report.broker_order_id, report.client_order_id)
        found += compare_order(order, report, since)
        matched |= {order.client_order_id} if order is not None else set()
    for order in ours:
        found += compare_order(order, None, since) if order.client_order_id not in matched else ()
    return found


def find_recorded(
    orders: Mapping[str, RecordedOrder], broker_order_id: str, client_order_id: str
) -> RecordedOrder | None:
    """Return the order of ours that two ids of the broker's mean, out of orders by either of their ids.

    A second order of the broker's under an id of ours is not ours: ours is the one it told us of first.
    """
    named = orders.get(broker_order_id) if broker_order_id else None
    if named is not None:
        return named
    order = orders.get(client_order_id) if client_order_id else None
    if order is not None and order.broker_order_id and broker_order_id:
        return None
    return order


def compare_order(
    recorded: RecordedOrder | None, reported: OrderReport | None, since: datetime
) -> tuple[Difference, ...]:
    """Return what differs about one order.

    Args:
        recorded: Ours, or None where no order of ours fits the report.
        reported: The broker's, or None where it was asked and does not have it.
        since: What happened later than this may not have reached the other side yet.
    """
    if reported is None:
        return () if recorded is None else (_missing_there(recorded, since),)
    if recorded is None:
        return (_missing_here(reported, since),)
    in_flight = _is_recent(recorded.changed_at, since) or _is_recent(reported.reported_at, since)
    found: list[tuple[DiscrepancyKind, Standing]] = []
    is_same = (recorded.symbol, recorded.side) == (reported.symbol, reported.side)
    if not is_same or _states_differ(recorded, reported):
        is_ahead = is_same and STATE_RANK[reported.status.state] > STATE_RANK[recorded.state]
        found.append((DiscrepancyKind.STATE, Standing.AHEAD if is_ahead else Standing.APART))
    if reported.filled_quantity != recorded.filled_quantity:
        is_ahead = reported.filled_quantity > recorded.filled_quantity
        found.append((DiscrepancyKind.QUANTITY, Standing.AHEAD if is_ahead else Standing.APART))
    elif _differ(recorded.quantity, reported.quantity):
        found.append((DiscrepancyKind.QUANTITY, Standing.APART))
    if _differ(recorded.limit_price, reported.limit_price):
        found.append((DiscrepancyKind.PRICE, Standing.APART))
    ours, theirs = order_facts(recorded), report_facts(reported)
    return tuple(
        Difference(
            kind, SubjectType.ORDER, reported.broker_order_id, recorded.symbol, ours, theirs, recorded.id, standing,
            in_flight,
        )
        for kind, standing in found
    )  # fmt: skip


def compare_fill(
    recorded: RecordedFill | None, reported: FillReport, order_is_ours: bool, since: datetime
) -> tuple[Difference, ...]:
    """Return what differs about one execution that the broker reports.

    An execution that only we know of is no difference: no broker lists all it ever executed.
    """
    theirs = fill_facts(reported)
    in_flight = _is_recent(reported.executed_at, since)
    if not order_is_ours:
        booked = {} if recorded is None else _booked_facts(recorded)
        subject = (SubjectType.ORDER, reported.broker_order_id)
        return (
            Difference(DiscrepancyKind.EXTERNAL, *subject, reported.symbol, booked, theirs, is_in_flight=in_flight),
        )
    if recorded is None:
        subject = (SubjectType.FILL, reported.execution_id)
        return (
            Difference(
                DiscrepancyKind.UNKNOWN_FILL, *subject, reported.symbol, {}, theirs, None, Standing.AHEAD, in_flight
            ),
        )
    kinds = [DiscrepancyKind.QUANTITY] if recorded.quantity != reported.quantity else []
    kinds += [DiscrepancyKind.PRICE] if _differ(recorded.price, reported.price) else []
    ours = _booked_facts(recorded)
    subject = (SubjectType.FILL, reported.execution_id)
    return tuple(Difference(kind, *subject, reported.symbol, ours, theirs, recorded.order_id) for kind in kinds)


def compare_position(
    recorded: RecordedPosition | None, reported: PositionReport | None, since: datetime
) -> tuple[Difference, ...]:
    """Return what differs about one holding; a holding that one side does not list is one of nothing."""
    symbol = recorded.symbol if recorded is not None else reported.symbol if reported is not None else ""
    ours = recorded.quantity if recorded is not None else ZERO
    theirs = reported.quantity if reported is not None else ZERO
    our_price = recorded.average_price if recorded is not None else ZERO
    their_price = reported.average_price if reported is not None else ZERO
    if ours != theirs:
        kind = DiscrepancyKind.POSITION
    elif ours and our_price and their_price and abs(our_price - their_price) > PRICE_TOLERANCE * abs(their_price):
        kind = DiscrepancyKind.PRICE
    else:
        return ()
    in_flight = recorded is not None and _is_recent(recorded.changed_at, since)
    sides = (
        {"quantity": amount(ours), "average_price": amount(round(our_price, PRICE_DIGITS))},
        {"quantity": amount(theirs), "average_price": amount(round(their_price, PRICE_DIGITS))},
    )
    standing = Standing.AHEAD if kind is DiscrepancyKind.PRICE else Standing.APART
    return (Difference(kind, SubjectType.POSITION, symbol, symbol, *sides, None, standing, in_flight),)


def order_facts(order: RecordedOrder) -> dict[str, Any]:
    return {
        "state": order.state.value,
        "symbol": order.symbol,
        "side": order.side.value,
        "quantity": amount(order.quantity),
        "filled_quantity": amount(order.filled_quantity),
        "limit_price": amount(order.limit_price),
        "client_order_id": order.client_order_id,
    }


def report_facts(report: OrderReport) -> dict[str, Any]:
    return {
        "state": report.status.value,
        "symbol": report.symbol,
        "side": report.side.value,
        "quantity": amount(report.quantity),
        "filled_quantity": amount(report.filled_quantity),
        "limit_price": amount(report.limit_price),
        "client_order_id": report.client_order_id,
    }


def fill_facts(fill: FillReport) -> dict[str, Any]:
    return {
        "symbol": fill.symbol,
        "side": fill.side.value,
        "quantity": amount(fill.quantity),
        "price": amount(fill.price),
        "broker_order_id": fill.broker_order_id,
        "executed_at": fill.executed_at.isoformat(),
    }


def _booked_facts(fill: RecordedFill) -> dict[str, Any]:
    return {
        "symbol": fill.symbol,
        "side": fill.side.value,
        "quantity": amount(fill.quantity),
        "price": amount(fill.price),
        "broker_order_id": fill.broker_order_id,
    }


def _missing_there(recorded: RecordedOrder, since: datetime) -> Difference:
    return Difference(
        DiscrepancyKind.MISSING_THERE,
        SubjectType.ORDER,
        recorded.broker_order_id,
        recorded.symbol,
        recorded=order_facts(recorded),
        order_id=recorded.id,
        is_in_flight=_is_recent(recorded.changed_at, since),
    )


def _missing_here(reported: OrderReport, since: datetime) -> Difference:
    is_ours = reported.client_order_id.startswith(PREFIX)
    return Difference(
        DiscrepancyKind.MISSING_HERE if is_ours else DiscrepancyKind.EXTERNAL,
        SubjectType.ORDER,
        reported.broker_order_id,
        reported.symbol,
        reported=report_facts(reported),
        is_in_flight=_is_recent(reported.reported_at, since),
    )


def _states_differ(recorded: RecordedOrder, reported: OrderReport) -> bool:
    """Return whether one side has the order open and the other does not, or both ended differently.

    Working and partly filled are told apart by the filled quantity alone.
    """
    ours, theirs = recorded.state in FINAL_STATES, reported.status.state in FINAL_STATES
    return ours != theirs or (ours and recorded.state is not reported.status.state)


def _is_recent(instant: datetime | None, since: datetime) -> bool:
    return instant is not None and instant > since


def _differ(one: Decimal | None, other: Decimal | None) -> bool:
    return one is not None and other is not None and one != other


def amount(value: Decimal | None) -> str | None:
    """Return a number as it is read, so that 10 and 10.000 are written alike."""
    if value is None:
        return None
    text = format(value.normalize(), "f")
    return "0" if text == "-0" else text
