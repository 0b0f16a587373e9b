"""Alpaca's stream of trade updates, with a clock of its own for silence.

The stream has no sequence numbers and no replay: whatever cannot be read has to end it, so that
the caller takes a snapshot again instead of missing a change.

Source:
    "Websocket Streaming", Alpaca Trading API documentation.
"""

import asyncio
import json
import math
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
from yarl import URL

from brokers.adapters.alpaca.errors import Operation, classify_exception
from brokers.adapters.alpaca.parsing import ParseError, UnsupportedOrderError, as_object, parse_json, parse_trade_update
from brokers.adapters.alpaca.transport import read_credentials
from brokers.adapters.errors import StreamLostError
from brokers.adapters.interface import AccountSettings
from brokers.core.reports import StreamEvent

PING_INTERVAL_SECONDS = 0.25
CLOSE_WAIT_SECONDS = 0.01  # a dead peer does not answer a close; there is nothing to wait for
TRADE_UPDATES = "trade_updates"
_DATA_TYPES = frozenset({aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY})
_END_TYPES = frozenset({aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED})


async def stream_trade_updates(
    http: aiohttp.ClientSession, url: URL, settings: AccountSettings
) -> AsyncGenerator[StreamEvent | None, None]:
    """Log in, subscribe and yield; see ``BrokerSession.stream_orders``."""
    socket = await _within_deadline(_connect(http, url), settings.call_timeout_seconds)
    try:
        early = await _within_deadline(_subscribe(socket, settings), settings.call_timeout_seconds)
        yield None
        for message in early:
            yield _event(message)
        listener = _Listener(socket, settings.silence_timeout_seconds)
        while True:
            yield _event(await listener.next_message())
    finally:
        await socket.close()


class _Listener:
    """Waits for frames and counts the intervals that pass without one.

    Silence is counted while waiting only: time spent by the consumer, or a stalled event loop,
    counts as one interval at most, so that our own slowness is not taken for the broker's.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, silence_timeout_seconds: float) -> None:
        self._socket = socket
        self._silence_timeout_seconds = silence_timeout_seconds
        self._interval = min(PING_INTERVAL_SECONDS, silence_timeout_seconds / 3)
        self._allowed = math.ceil(silence_timeout_seconds / self._interval - 1e-9)

    async def next_message(self) -> Any:
        """Return the next message, or ``None`` for a pong; raises ``StreamLostError`` after too long a silence."""
        for _ in range(self._allowed):
            try:
                frame = await self._socket.receive(timeout=self._interval)
            except TimeoutError:
                await _send(self._socket, None)
                continue
            if frame.type is aiohttp.WSMsgType.PING:
                await self._socket.pong(frame.data)
            if frame.type in (aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG):
                return None
            return _message(frame)
        raise StreamLostError("NETWORK_STREAM_SILENT", f"no sign of life for {self._silence_timeout_seconds} s")


async def _within_deadline(step: Any, seconds: float) -> Any:
    try:
        async with asyncio.timeout(seconds):
            return await step
    except TimeoutError:
        failure = StreamLostError("TIMEOUT_READ", f"no answer to the login within {seconds} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        failure = _connect_failure(error)
    # Raised apart from its cause, which holds the request headers.
    raise failure


def _connect_failure(error: Exception) -> StreamLostError:
    if not isinstance(error, aiohttp.WSServerHandshakeError):
        failure = classify_exception(Operation.QUERY, error)
        return StreamLostError(failure.code, failure.message)
    codes = {401: "AUTH_INVALID_CREDENTIALS", 403: "AUTH_FORBIDDEN", 429: "RATE_LIMIT_EXCEEDED"}
    code = codes.get(error.status, "BROKER_UNAVAILABLE" if error.status >= 500 else "BROKER_STREAM_REFUSED")
    return StreamLostError(code, f"the stream was refused with HTTP {error.status}")


async def _connect(http: aiohttp.ClientSession, url: URL) -> aiohttp.ClientWebSocketResponse:
    return await http.ws_connect(url, autoping=False, timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_WAIT_SECONDS))


async def _subscribe(socket: aiohttp.ClientWebSocketResponse, settings: AccountSettings) -> list[Any]:
    """Authenticate and listen; return the updates that arrived before the confirmation."""
    key, secret = read_credentials(settings)
    await _send(socket, {"action": "authenticate", "data": {"key_id": key, "secret_key": secret}})
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
            await _send(socket, {"action": "listen", "data": {"streams": [TRADE_UPDATES]}})
        elif stream == "listening":
            _require_listening(data)
            return early


def _require_authorized(data: Any) -> None:
    if not isinstance(data, dict) or data.get("status") != "authorized":
        raise StreamLostError("AUTH_INVALID_CREDENTIALS", "the stream refused the credentials")


def _require_listening(data: Any) -> None:
    if not isinstance(data, dict) or TRADE_UPDATES not in (data.get("streams") or ()):
        raise StreamLostError("AUTH_FORBIDDEN", "the stream does not grant trade updates")


async def _send(socket: aiohttp.ClientWebSocketResponse, message: dict[str, Any] | None) -> None:
    """Send a message, or a ping for ``None``."""
    try:
        await (socket.ping() if message is None else socket.send_str(json.dumps(message)))
    except (ConnectionError, aiohttp.ClientError) as error:
        raise StreamLostError("NETWORK_CONNECTION_LOST", f"the stream broke: {type(error).__name__}") from None


def _message(frame: aiohttp.WSMessage) -> dict[str, Any]:
    """Return the object in a frame, text or binary; raises ``StreamLostError`` for anything else."""
    if frame.type in _END_TYPES:
        raise StreamLostError("NETWORK_CONNECTION_LOST", f"the stream was closed ({frame.data})")
    if frame.type not in _DATA_TYPES:
        raise StreamLostError("NETWORK_CONNECTION_LOST", f"the stream broke ({type(frame.data).__name__})")
    try:
        message = as_object(parse_json(frame.data))
    except ParseError as error:
        raise StreamLostError("DATA_MALFORMED_REPLY", f"unreadable stream message: {error}"[:500]) from error
    if message.get("action") == "error" or message.get("stream") == "error":
        raise StreamLostError("BROKER_STREAM_REFUSED", f"the stream reported an error: {message.get('data')!r}"[:500])
    return message


def _event(message: dict[str, Any] | None) -> StreamEvent | None:
    """Return the trade update in a message, or ``None`` for a mere sign of life."""
    if message is None or message.get("stream") not in (TRADE_UPDATES, None):
        return None
    try:
        return parse_trade_update(message.get("data"))
    except UnsupportedOrderError:
        return None  # its legs are orders of their own and report themselves
    except ParseError as error:
        raise StreamLostError("DATA_MALFORMED_REPLY", f"unreadable trade update: {error}"[:500]) from error
