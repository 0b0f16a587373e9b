"""Alpaca's stream of trade updates, with a clock of its own for silence.

The stream has no sequence numbers and no replay: whatever cannot be read has to end it, so that
the caller takes a snapshot again instead of missing a change.

Source:
    "Websocket Streaming", Alpaca Trading API documentation.
"""

from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
from yarl import URL

from brokers.adapters.alpaca.parsing import ParseError, UnsupportedOrderError, as_object, parse_json, parse_trade_update
from brokers.adapters.alpaca.transport import read_credentials
from brokers.adapters.errors import StreamLostError
from brokers.adapters.interface import AccountSettings
from brokers.adapters.websocket import Listener, connect, require_data, send, within_deadline
from brokers.core.reports import StreamEvent

TRADE_UPDATES = "trade_updates"


async def stream_trade_updates(
    http: aiohttp.ClientSession, url: URL, settings: AccountSettings
) -> AsyncGenerator[StreamEvent | None, None]:
    """Log in, subscribe and yield; see ``BrokerSession.stream_orders``."""
    socket = await within_deadline(connect(http, url), settings.call_timeout_seconds)
    try:
        early = await within_deadline(_subscribe(socket, settings), settings.call_timeout_seconds)
        yield None
        for message in early:
            yield _event(message)
        listener = Listener(socket, settings.silence_timeout_seconds)
        while True:
            frame = await listener.next_frame()
            yield None if frame is None else _event(_message(frame))
    finally:
        await socket.close()


async def _subscribe(socket: aiohttp.ClientWebSocketResponse, settings: AccountSettings) -> list[Any]:
    """Authenticate and listen; return the updates that arrived before the confirmation."""
    key, secret = read_credentials(settings)
    await send(socket, {"action": "authenticate", "data": {"key_id": key, "secret_key": secret}})
    early = []
    while True:
        frame = await socket.receive()
        if frame.type in (aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG):
            continue
        message = _message(frame)
        stream, data = message.get("stream"), message.get("data")
        if stream == TRADE_UPDATES:
            early.append(message)
        elif stream == "authorization":
            _require_authorized(data)
            await send(socket, {"action": "listen", "data": {"streams": [TRADE_UPDATES]}})
        elif stream == "listening":
            _require_listening(data)
            return early


def _require_authorized(data: Any) -> None:
    if not isinstance(data, dict) or data.get("status") != "authorized":
        raise StreamLostError("AUTH_INVALID_CREDENTIALS", "the stream refused the credentials")


def _require_listening(data: Any) -> None:
    if not isinstance(data, dict) or TRADE_UPDATES not in (data.get("streams") or ()):
        raise StreamLostError("AUTH_FORBIDDEN", "the stream does not grant trade updates")


def _message(frame: aiohttp.WSMessage) -> dict[str, Any]:
    """Return the object in a frame, text or binary; raises ``StreamLostError`` for anything else."""
    try:
        message = as_object(parse_json(require_data(frame)))
    except ParseError as error:
        raise StreamLostError("DATA_MALFORMED_REPLY", f"unreadable stream message: {error}"[:500]) from error
    if message.get("action") == "error" or message.get("stream") == "error":
        raise StreamLostError("BROKER_STREAM_REFUSED", f"the stream reported an error: {message.get('data')!r}"[:500])
    return message


def _event(message: dict[str, Any]) -> StreamEvent | None:
    """Return the trade update in a message, or ``None`` for a mere sign of life."""
    if message.get("stream") not in (TRADE_UPDATES, None):
        return None
    try:
        return parse_trade_update(message.get("data"))
    except UnsupportedOrderError:
        return None  # its legs are orders of their own and report themselves
    except ParseError as error:
        raise StreamLostError("DATA_MALFORMED_REPLY", f"unreadable trade update: {error}"[:500]) from error
