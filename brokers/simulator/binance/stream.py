"""/ws-api/v3: the user data stream, subscribed by a signed request on the connection itself.

Streams by listen key are not offered: Binance ended them for the spot market on 2026-02-20.

Source:
    "User Data Stream requests" and "User Data Streams", Binance Spot API documentation.
"""

import json
from typing import Any

from aiohttp import web

from brokers.simulator.binance.dialect import check_signed_message, server_time
from brokers.simulator.binance.requests import BinanceRefusalError
from brokers.simulator.binance.wire import (
    TYPES,
    milliseconds,
    number,
    order_id,
    status_of,
    symbol_of,
    time_in_force_of,
)
from brokers.simulator.broker import Broker
from brokers.simulator.orders import Order
from brokers.simulator.stream import Subscriber, commands, connected
from brokers.simulator.venue import Event
from brokers.simulator.wire import Json

SUBSCRIPTION = 0
EXECUTION_TYPES = {
    "new": "NEW",
    "fill": "TRADE",
    "partial_fill": "TRADE",
    "canceled": "CANCELED",
    "replaced": "CANCELED",
    "expired": "EXPIRED",
    "rejected": "REJECTED",
}


async def serve_user_data(request: web.Request, broker: Broker) -> web.StreamResponse:
    """Answer requests on one connection until it ends; events follow once it has subscribed."""
    render = UserData(broker)
    endpoint = broker.endpoint_of(request)
    async with connected(request, broker.streams, render, endpoint, text=True) as subscriber:
        async for command in commands(subscriber):
            _answer(subscriber, command, broker)
    return subscriber.socket


class UserData:
    """Tells events of the broker as messages of the user data stream; one broker's are all alike."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UserData) and other._broker is self._broker

    def __hash__(self) -> int:
        return hash((UserData, id(self._broker)))

    def __call__(self, event: Event) -> Json | None:
        if event.name not in EXECUTION_TYPES or "/" not in event.order.symbol:
            return None
        trade_id = -1
        if event.fill is not None:
            positions = self._broker.venue.book.fill_positions[event.fill.order_id]
            trade_id = positions[-1] + 1
        return {"subscriptionId": SUBSCRIPTION, "event": execution_report(event, trade_id)}


def execution_report(event: Event, trade_id: int) -> Json:
    """Return one ``executionReport``; the order in it is as it is now."""
    order, fill, at = event.order, event.fill, milliseconds(event.at)
    return {
        "e": "executionReport",
        "E": server_time(),
        **_order_fields(order, is_cancel=EXECUTION_TYPES[event.name] == "CANCELED"),
        "x": EXECUTION_TYPES[event.name],
        "X": status_of(order),
        "r": "NONE",
        "l": number(fill.quantity if fill else None),
        "z": number(fill.cumulative_quantity if fill else order.filled_quantity),
        "L": number(fill.price if fill else None),
        "n": number(fill.told_fee) if fill and fill.told_fee else "0",
        "N": fill.fee_asset if fill and fill.told_fee else None,
        "T": at,
        "t": trade_id,
        "w": not order.is_final,
        "m": False,
        "O": milliseconds(order.submitted_at),
        "Z": number(order.filled_value),
        "Y": number(fill.quantity * fill.price if fill else None),
        "Q": number(order.notional),
        "W": milliseconds(order.submitted_at),
        "V": "NONE",
    }


def _order_fields(order: Order, *, is_cancel: bool) -> Json:
    """Return the terms; a cancel comes under an id of its own, with the order's beside it."""
    return {
        "s": symbol_of(order.symbol),
        "c": f"cancel-{order_id(order)}" if is_cancel else order.client_order_id,
        "S": order.side.upper(),
        "o": TYPES[order.type],
        "f": time_in_force_of(order),
        "q": number(order.quantity),
        "p": number(order.limit_price),
        "P": number(order.stop_price),
        "F": number(None),
        "g": -1,
        "C": order.client_order_id if is_cancel else "",
        "i": order_id(order),
    }


def _answer(subscriber: Subscriber, command: Json, broker: Broker) -> None:
    params = command.get("params")
    try:
        result = _result(subscriber, command.get("method"), params if isinstance(params, dict) else {}, broker)
    except BinanceRefusalError as refusal:
        reply: Json = {"id": command.get("id"), "status": refusal.status, "error": refusal.body}
    else:
        reply = {"id": command.get("id"), "status": 200, "result": result}
    subscriber.queue.put_nowait(json.dumps(reply).encode())


def _result(subscriber: Subscriber, method: Any, params: Json, broker: Broker) -> Json:
    if method == "userDataStream.subscribe.signature":
        check_signed_message(broker, params)
        subscriber.is_listening = True
        return {"subscriptionId": SUBSCRIPTION}
    if method == "userDataStream.unsubscribe":
        subscriber.is_listening = False
        return {}
    if method == "time":
        return {"serverTime": server_time()}
    if method == "ping":
        return {}
    raise BinanceRefusalError(-1020, "This operation is not supported.")
