"""/api/v3/order and its lists: placing, canceling and asking."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TypeVar
from uuid import uuid4

from brokers.simulator import entry
from brokers.simulator.binance.requests import (
    BinanceRefusalError,
    Params,
    amount,
    client_order_id_of,
    instrument_of,
    limit_of,
    missing,
    params_of,
    whole_number,
)
from brokers.simulator.binance.wire import MIN_NOTIONAL, TYPES, canceled_json, order_json, placed_json
from brokers.simulator.faults import FaultKind
from brokers.simulator.gate import Answer, Call
from brokers.simulator.instruments import Instrument
from brokers.simulator.orders import LIMIT_TYPES, STOP_TYPES, Order, OrderType, Side, Status, TimeInForce
from brokers.simulator.requests import OrderTerms, RefusalError
from brokers.simulator.wire import Json

Choice = TypeVar("Choice")
_SIDES = {side.upper(): side for side in Side}
_TYPES = {name: kind for kind, name in TYPES.items()}
_TIMES = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}
_RESPONSES = ("FULL", "RESULT", "ACK")
_UNCANCELABLE = frozenset({Status.PENDING_CANCEL, Status.PENDING_NEW, Status.PENDING_REPLACE})


def submit_order(call: Call) -> Answer:
    """Take a new order; it trades from the next tick on."""
    params = params_of(call)
    terms = _terms_of(call, params)
    response = _response_of(params, terms)
    return Answer(placed_json(_place(call, terms), response, []))


def replace_order(call: Call) -> Answer:
    """Cancel an order and place a new one in one request, the new one only if the cancel succeeds (or in any case)."""
    params = params_of(call)
    mode = params.get("cancelReplaceMode")
    if mode not in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
        raise missing("cancelReplaceMode")
    terms = _terms_of(call, params)
    response = _response_of(params, terms)
    cancel = _half(lambda: canceled_json(_cancel(call, _canceled_of(params)), uuid4().hex[:22]))
    if cancel[0] == "FAILURE" and mode == "STOP_ON_FAILURE":
        new: tuple[str, Json | None] = ("NOT_ATTEMPTED", None)
    else:
        new = _half(lambda: placed_json(_place(call, terms), response, []))
    data = {
        "cancelResult": cancel[0],
        "newOrderResult": new[0],
        "cancelResponse": cancel[1],
        "newOrderResponse": new[1],
    }
    if cancel[0] == new[0] == "SUCCESS":
        return Answer(data)
    if "SUCCESS" in (cancel[0], new[0]):
        raise BinanceRefusalError(-2021, "Order cancel-replace partially failed.", 409, {"data": data})
    raise BinanceRefusalError(-2022, "Order cancel-replace failed.", 400, {"data": data})


def _half(attempt: Callable[[], Json]) -> tuple[str, Json | None]:
    """Return how one half of a cancel-and-replace went, and what it answers."""
    try:
        return "SUCCESS", attempt()
    except BinanceRefusalError as refusal:
        return "FAILURE", refusal.body


def _canceled_of(params: Params) -> Params:
    names = {"orderId": "cancelOrderId", "origClientOrderId": "cancelOrigClientOrderId"}
    return {"symbol": params.get("symbol", ""), **{name: params.get(given, "") for name, given in names.items()}}


def _response_of(params: Params, terms: OrderTerms) -> str:
    response = params.get("newOrderRespType") or (
        "FULL" if terms.type in (OrderType.MARKET, OrderType.LIMIT) else "ACK"
    )
    if response not in _RESPONSES:
        raise BinanceRefusalError(-1100, "Illegal characters found in parameter 'newOrderRespType'.")
    return response


def _place(call: Call, terms: OrderTerms) -> Order:
    closed = call.broker.faults.find_active(FaultKind.MARKET_CLOSED)
    if closed is not None and closed.parameters.get("mode") == "refuse":
        raise BinanceRefusalError(-1013, "Market is closed.")
    _check_duplicate(call, terms)
    try:
        return entry.place_order(call.broker.venue, terms, call.request_id)
    except RefusalError as refusal:
        raise BinanceRefusalError(-2010, "Account has insufficient balance for requested action.") from refusal


def cancel_order(call: Call) -> Answer:
    """Cancel an order at once; what filled by then stays filled."""
    params = params_of(call)
    order = _cancel(call, params)
    return Answer(canceled_json(order, client_order_id_of(params) or uuid4().hex[:22]))


def _cancel(call: Call, params: Params) -> Order:
    order = _find(call, params)
    if order is None or order.is_final or order.status in _UNCANCELABLE:
        raise BinanceRefusalError(-2011, "Unknown order sent.")
    call.broker.venue.change_state(order, Status.CANCELED)
    return order


def cancel_open_orders(call: Call) -> Answer:
    """Cancel every open order of one symbol."""
    instrument = instrument_of(call, params_of(call))
    orders = [order for order in _open_orders(call, instrument) if order.status not in _UNCANCELABLE]
    if not orders:
        raise BinanceRefusalError(-2011, "Unknown order sent.")
    for order in orders:
        call.broker.venue.change_state(order, Status.CANCELED)
    return Answer([canceled_json(order, uuid4().hex[:22]) for order in orders])


def get_order(call: Call) -> Answer:
    order = _find(call, params_of(call))
    if order is None:
        raise BinanceRefusalError(-2013, "Order does not exist.")
    return Answer(order_json(order))


def list_open_orders(call: Call) -> Answer:
    params = params_of(call)
    instrument = instrument_of(call, params) if params.get("symbol") else None
    return Answer([order_json(order) for order in _open_orders(call, instrument)])


def list_orders(call: Call) -> Answer:
    """List orders of one symbol, oldest first: from ``orderId`` on, or the newest ones."""
    params = params_of(call)
    symbol, limit, start = instrument_of(call, params).symbol, limit_of(params), whole_number(params, "orderId")
    orders = call.broker.venue.book.orders
    found = [order for order in orders[max((start or 1) - 1, 0) :] if order.symbol == symbol]
    return Answer([order_json(order) for order in (found[:limit] if start is not None else found[-limit:])])


def _open_orders(call: Call, instrument: Instrument | None) -> Iterable[Order]:
    book = call.broker.venue.book
    groups = book.open_orders.items()
    orders = (
        o for symbol, group in groups for o in group.values() if instrument is None or symbol == instrument.symbol
    )
    return sorted((order for order in orders if "/" in order.symbol), key=lambda order: order.sequence)


def _find(call: Call, params: Params) -> Order | None:
    """Return the order that the number or, without one, the client's id names."""
    symbol, book = instrument_of(call, params).symbol, call.broker.venue.book
    number, client_order_id = whole_number(params, "orderId"), client_order_id_of(params, "origClientOrderId")
    if number is not None:
        order = book.orders[number - 1] if 0 < number <= len(book.orders) else None
        return order if order is not None and order.symbol == symbol else None
    if client_order_id is None:
        raise BinanceRefusalError(
            -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
        )
    named = [o for o in book.by_client_order_id.get(client_order_id, []) if o.symbol == symbol]
    return named[-1] if named else None


def _check_duplicate(call: Call, terms: OrderTerms) -> None:
    """Refuse the id of an order that is still open; that of a final one may be used again, as at Binance."""
    venue = call.broker.venue
    same = venue.book.by_client_order_id.get(terms.client_order_id or "", [])
    is_open = any(not order.is_final and order.symbol == terms.symbol for order in same)
    if is_open and venue.rules.dedupe and venue.is_deduplicating:
        raise BinanceRefusalError(-2010, "Duplicate order sent.")


def _terms_of(call: Call, params: Params) -> OrderTerms:
    """Return the terms of a new order.

    Raises:
        BinanceRefusalError: A parameter is missing, too many, malformed, or fails a filter.
    """
    instrument = instrument_of(call, params)
    kind = _choice(_TYPES, params, "type", -1116, "Invalid orderType.")
    quantity, notional = amount(params, "quantity"), amount(params, "quoteOrderQty")
    terms = OrderTerms(
        symbol=instrument.symbol,
        side=_choice(_SIDES, params, "side", -1117, "Invalid side."),
        type=kind,
        time_in_force=_time_in_force(kind, params),
        quantity=quantity,
        notional=notional,
        limit_price=amount(params, "price"),
        stop_price=amount(params, "stopPrice"),
        extended_hours=False,
        position_intent=None,
        client_order_id=client_order_id_of(params),
    )
    if quantity is None and (notional is None or kind is not OrderType.MARKET):
        raise missing("quantity")
    if quantity is not None and notional is not None:
        raise BinanceRefusalError(-1106, "Parameter 'quoteOrderQty' sent when not required.")
    _check_prices(terms, instrument)
    _check_notional(terms, call.broker.venue.walks[instrument.symbol].price)
    return terms


def _time_in_force(kind: OrderType, params: Params) -> TimeInForce:
    if kind in LIMIT_TYPES:
        return _choice(_TIMES, params, "timeInForce", -1115, "Invalid timeInForce.")
    if params.get("timeInForce"):
        raise BinanceRefusalError(-1106, "Parameter 'timeInForce' sent when not required.")
    return TimeInForce.GTC


def _check_prices(terms: OrderTerms, instrument: Instrument) -> None:
    uses = (("price", terms.limit_price, LIMIT_TYPES), ("stopPrice", terms.stop_price, STOP_TYPES))
    for name, price, kinds in uses:
        if terms.type in kinds and price is None:
            raise missing(name)
        if terms.type not in kinds and price is not None:
            raise BinanceRefusalError(-1106, f"Parameter '{name}' sent when not required.")
        if price is not None and price % instrument.price_increment:
            raise BinanceRefusalError(-1013, "Filter failure: PRICE_FILTER")


def _check_notional(terms: OrderTerms, price: Decimal) -> None:
    cost = terms.notional or (terms.quantity or Decimal(0)) * (terms.limit_price or terms.stop_price or price)
    if cost < MIN_NOTIONAL:
        raise BinanceRefusalError(-1013, "Filter failure: NOTIONAL")


def _choice(choices: dict[str, Choice], params: Params, name: str, code: int, message: str) -> Choice:
    value = params.get(name)
    if not value:
        raise missing(name)
    if value not in choices:
        raise BinanceRefusalError(code, message)
    return choices[value]
