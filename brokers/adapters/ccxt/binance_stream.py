"""Binance's user data stream on its websocket API, without ccxt's own streams.

It is subscribed by one signed request on the connection and needs nothing kept alive besides it. It has no
replay: whatever cannot be read has to end it, so that the caller takes a snapshot again instead of missing a change.

Source:
    "User Data Stream requests" (userDataStream.subscribe.signature) and "User Data Streams" (executionReport),
    Binance Spot API documentation. Streams by listen key ended for the spot market on 2026-02-20.
"""

import hashlib
import hmac
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import aiohttp

from brokers.adapters.binance.rules import judge_code
from brokers.adapters.ccxt.errors import ParseError
from brokers.adapters.ccxt.parsing import order_key
from brokers.adapters.errors import StreamLostError
from brokers.adapters.failures.bodies import ErrorBody, as_code
from brokers.adapters.interface import AccountSettings
from brokers.adapters.websocket import Listener, connect, require_data, send, within_deadline
from brokers.core.fees import summed
from brokers.core.orders import Side
from brokers.core.reports import Fee, FillReport, OrderReport, ReportedStatus, StreamEvent
from reliability.core.classification import Operation

STATUSES: Mapping[str, ReportedStatus] = {
    "NEW": ReportedStatus.WORKING,
    "PENDING_NEW": ReportedStatus.WORKING,
    "PENDING_CANCEL": ReportedStatus.WORKING,
    "PARTIALLY_FILLED": ReportedStatus.PARTIALLY_FILLED,
    "FILLED": ReportedStatus.FILLED,
    "CANCELED": ReportedStatus.CANCELED,
    "REJECTED": ReportedStatus.REJECTED,
    "EXPIRED": ReportedStatus.EXPIRED,
    "EXPIRED_IN_MATCH": ReportedStatus.EXPIRED,
}
WINDOW_MS = 5000
_SUBSCRIBE = "userDataStream.subscribe.signature"
_ENDINGS = frozenset({"eventStreamTerminated", "serverShutdown"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StreamLogin:
    """What the subscription takes: the credentials, the time at Binance, and its symbols by our names."""

    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    exchange_time_ms: Callable[[], int]
    symbol_of: Callable[[str], str]


async def stream_user_data(
    http: aiohttp.ClientSession, settings: AccountSettings, login: StreamLogin
) -> AsyncGenerator[StreamEvent | None, None]:
    """Subscribe and yield; see ``BrokerSession.stream_orders``."""
    socket = await within_deadline(connect(http, settings.stream_url), settings.call_timeout_seconds)
    try:
        early = await within_deadline(_subscribe(socket, login), settings.call_timeout_seconds)
        yield None
        for message in early:
            yield _event(message, login)
        listener = Listener(socket, settings.silence_timeout_seconds)
        while True:
            frame = await listener.next_frame()
            yield None if frame is None else _event(_message(frame), login)
    finally:
        await socket.close()


def signed(params: Mapping[str, str | int], secret: str) -> dict[str, str | int]:
    """Return the parameters with their signature, which covers them in the order of their names."""
    text = "&".join(f"{name}={params[name]}" for name in sorted(params))
    return {**params, "signature": hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()}


def parse_execution_report(row: Mapping[str, Any], symbol_of: Callable[[str], str]) -> StreamEvent:
    """Return the event of one ``executionReport``; raises ``ParseError`` for one that cannot be believed.

    A cancel has an id of its own: the order's is then in ``C``.
    """
    symbol = symbol_of(_text(row, "s"))
    status = STATUSES.get(_text(row, "X"))
    if status is None:
        raise ParseError(f"unknown order status {row['X']!r}")
    filled, value = _number(row, "z"), _number(row, "Z")
    order = OrderReport(
        client_order_id=row.get("C") or _text(row, "c"),
        broker_order_id=order_key(symbol, str(_whole(row, "i"))),
        status=status,
        symbol=symbol,
        side=_side(row),
        filled_quantity=filled,
        quantity=_number(row, "q"),
        limit_price=_number(row, "p") or None,
        average_price=value / filled if filled else None,
        cancel_pending=row["X"] == "PENDING_CANCEL",
        reported_at=_instant(row, "T"),
    )
    name = _text(row, "x")
    return StreamEvent(name.lower(), order, _fill(row, order) if name == "TRADE" else None)


def _fill(row: Mapping[str, Any], order: OrderReport) -> FillReport:
    quantity = _number(row, "l")
    if quantity <= 0:
        raise ParseError("a trade of nothing")
    return FillReport(
        execution_id=f"{order.symbol}:{_whole(row, 't')}",
        broker_order_id=order.broker_order_id,
        symbol=order.symbol,
        side=order.side,
        quantity=quantity,
        price=_number(row, "L"),
        executed_at=_instant(row, "T"),
        client_order_id=order.client_order_id,
        cumulative_quantity=order.filled_quantity,
        fees=_fees(row),
    )


def _fees(row: Mapping[str, Any]) -> tuple[Fee, ...]:
    """Return the commission of a trade; its asset is null where there is none."""
    return () if row.get("N") is None else summed([Fee(_number(row, "n"), _text(row, "N"))])


async def _subscribe(socket: aiohttp.ClientWebSocketResponse, login: StreamLogin) -> list[Mapping[str, Any]]:
    """Send the signed request and return the events that arrived before its confirmation."""
    params: dict[str, str | int] = {
        "apiKey": login.api_key,
        "recvWindow": WINDOW_MS,
        "timestamp": login.exchange_time_ms(),
    }
    await send(socket, {"id": "orders", "method": _SUBSCRIBE, "params": signed(params, login.api_secret)})
    early: list[Mapping[str, Any]] = []
    while True:
        frame = await socket.receive()
        if frame.type in (aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG):
            continue
        message = _message(frame)
        if message.get("id") != "orders":
            early.append(message)
        elif message.get("status") == 200:
            return early
        else:
            raise _refused(message.get("error"))


def _refused(error: Any) -> StreamLostError:
    fields = error if isinstance(error, Mapping) else {}
    code, text = as_code(fields.get("code")), str(fields.get("msg") or "no reason given")
    verdict = judge_code(Operation.STREAM, code, ErrorBody(True, code, text)) if code is not None else None
    return StreamLostError(
        verdict.code if verdict else "BROKER_STREAM_REFUSED", f"the stream was refused: {text}"[:500]
    )


def _message(frame: aiohttp.WSMessage) -> Mapping[str, Any]:
    try:
        message = json.loads(require_data(frame))
    except (ValueError, RecursionError) as error:
        raise StreamLostError("DATA_MALFORMED_REPLY", f"unreadable stream message: {error}"[:500]) from error
    if not isinstance(message, dict):
        raise StreamLostError("DATA_MALFORMED_REPLY", "a stream message that is no object")
    return message


def _event(message: Mapping[str, Any], login: StreamLogin) -> StreamEvent | None:
    """Return the order event in a message, or ``None`` for a mere sign of life."""
    event = message.get("event")
    if not isinstance(event, Mapping):
        return None
    if event.get("e") in _ENDINGS:
        raise StreamLostError("NETWORK_STREAM_CLOSED", f"the stream was ended: {event['e']}")
    if event.get("e") != "executionReport":
        return None
    try:
        return parse_execution_report(event, login.symbol_of)
    except ParseError as error:
        raise StreamLostError("DATA_MALFORMED_REPLY", f"unreadable execution report: {error}"[:500]) from error


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise ParseError(f"{name} is missing or not a text")
    return value


def _number(row: Mapping[str, Any], name: str) -> Decimal:
    try:
        value = Decimal(_text(row, name))
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or value < 0:
        raise ParseError(f"{name} is not a number of at least 0")
    return value


def _whole(row: Mapping[str, Any], name: str) -> int:
    value = row.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ParseError(f"{name} is not a whole number")
    return value


def _instant(row: Mapping[str, Any], name: str) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=_whole(row, name))
    except OverflowError as error:
        raise ParseError(f"{name} is not an instant") from error


def _side(row: Mapping[str, Any]) -> Side:
    try:
        return Side(_text(row, "S").lower())
    except ValueError as error:
        raise ParseError("unknown side") from error
