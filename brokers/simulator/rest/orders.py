"""/v2/orders."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from brokers.simulator import entry
from brokers.simulator.faults import FaultKind
from brokers.simulator.gate import Answer, Call
from brokers.simulator.orders import Order
from brokers.simulator.query import instant_of, names_of, one_of, whole_number
from brokers.simulator.requests import (
    FORBIDDEN,
    NOT_FOUND,
    RefusalError,
    find_instrument,
    parse_order,
    parse_replacement,
    refuse,
)

PAGE_LIMIT = 500
DEFAULT_PAGE = 50
BEGINNING = datetime.min.replace(tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)


def submit_order(call: Call) -> Answer:
    closed = call.broker.faults.find_active(FaultKind.MARKET_CLOSED)
    terms = parse_order(call.body, call.broker.instruments)
    if closed is not None and closed.parameters.get("mode") == "refuse":
        raise RefusalError(403, FORBIDDEN, "market is closed")
    return Answer(call.broker.render_group(entry.submit_order(call.broker.venue, terms, call.request_id)))


def replace_order(call: Call) -> Answer:
    order = _get_order(call, call.path_value("order_id"))
    terms = parse_replacement(call.body)
    return Answer(call.broker.render(entry.replace_order(call.broker.venue, order, terms, call.request_id)))


def cancel_order(call: Call) -> Answer:
    entry.cancel_order(call.broker.venue, _get_order(call, call.path_value("order_id")))
    return Answer(status=204)


def cancel_all_orders(call: Call) -> Answer:
    """Ask to cancel every open order; each gets a status of its own."""
    venue = call.broker.venue
    results = []
    for order in [order for orders in venue.book.open_orders.values() for order in orders.values()]:
        try:
            entry.cancel_order(venue, order)
        except RefusalError as refusal:
            results.append({"id": order.id, "status": refusal.status, "body": refusal.body})
        else:
            results.append({"id": order.id, "status": 200})
    return Answer(results, 207)


def get_order(call: Call) -> Answer:
    order, is_nested = _get_order(call, call.path_value("order_id")), _is_nested(call)
    return Answer(call.broker.render_group(order) if is_nested else call.broker.render(order))


def get_order_by_client_order_id(call: Call) -> Answer:
    client_order_id = call.query.get("client_order_id")
    if not client_order_id:
        raise refuse("client_order_id is required")
    orders = call.broker.venue.book.by_client_order_id.get(client_order_id)
    if not orders:
        raise RefusalError(404, NOT_FOUND, f"order not found for {client_order_id}")
    return Answer(call.broker.render(orders[-1]))


def list_orders(call: Call) -> Answer:
    query = call.query
    status = one_of(query, "status", ("open", "closed", "all"))
    side = one_of(query, "side", ("", "buy", "sell"))
    direction = one_of(query, "direction", ("desc", "asc"))
    limit = whole_number(query, "limit", DEFAULT_PAGE, PAGE_LIMIT)
    symbols = {_symbol(call, name) for name in names_of(query, "symbols")}
    is_nested = _is_nested(call)
    render = call.broker.render_group if is_nested else call.broker.render
    found = []
    for order in _in_window(call, is_open_only=status == "open", is_newest_first=direction == "desc"):
        is_wanted = (status != "closed" or order.is_final) and not (is_nested and order.parent is not None)
        if is_wanted and (not side or order.side == side) and (not symbols or order.symbol in symbols):
            found.append(render(order))
            if len(found) == limit:
                break
    return Answer(found)


def _in_window(call: Call, *, is_open_only: bool, is_newest_first: bool) -> Iterable[Order]:
    """Return the orders between ``after`` and ``until`` (both exclusive) and between the paging order ids."""
    query, book = call.query, call.broker.venue.book
    orders = book.orders
    low = bisect_right(orders, instant_of(query, "after") or BEGINNING, key=lambda order: order.submitted_at)
    high = bisect_left(orders, instant_of(query, "until") or END, key=lambda order: order.submitted_at)
    if query.get("after_order_id"):
        low = max(low, _get_order(call, query["after_order_id"]).sequence + 1)
    if query.get("before_order_id"):
        high = min(high, _get_order(call, query["before_order_id"]).sequence)
    positions: Sequence[int] = range(low, high)
    if is_open_only:
        open_orders = (order for orders in book.open_orders.values() for order in orders.values())
        positions = sorted(order.sequence for order in open_orders if low <= order.sequence < high)
    positions = positions[::-1] if is_newest_first else positions
    return (orders[position] for position in positions)


def _is_nested(call: Call) -> bool:
    return one_of(call.query, "nested", ("false", "true", "False", "True")).lower() == "true"


def _symbol(call: Call, name: str) -> str:
    instrument = find_instrument(name, call.broker.instruments)
    return instrument.symbol if instrument else name


def _get_order(call: Call, order_id: str) -> Order:
    order = call.broker.venue.book.by_id.get(order_id.lower())
    if order is None:
        raise RefusalError(404, NOT_FOUND, f"order not found for {order_id}")
    return order
