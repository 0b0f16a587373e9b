"""What the order streams of brokers over a websocket share: deadlines, frames, and a clock of their own for silence."""

import asyncio
import json
import math
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

import aiohttp
from yarl import URL

from brokers.adapters.errors import StreamLostError
from brokers.adapters.failures.transport import judge_exception

PING_INTERVAL_SECONDS = 0.25
CLOSE_WAIT_SECONDS = 0.01  # a dead peer does not answer a close; there is nothing to wait for
MESSAGE_LIMIT = 500
_DATA_TYPES = frozenset({aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY})
_END_TYPES = frozenset({aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED})
_REFUSALS = {401: "AUTH_INVALID_CREDENTIALS", 403: "AUTH_FORBIDDEN", 429: "RATE_LIMIT_EXCEEDED"}

Step = TypeVar("Step")


class Listener:
    """Waits for frames and counts the intervals that pass without one.

    Silence is counted while waiting only: time spent by the consumer, or a stalled event loop,
    counts as one interval at most, so that our own slowness is not taken for the broker's.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, silence_timeout_seconds: float) -> None:
        self._socket = socket
        self._silence_timeout_seconds = silence_timeout_seconds
        self._interval = min(PING_INTERVAL_SECONDS, silence_timeout_seconds / 3)
        self._allowed = math.ceil(silence_timeout_seconds / self._interval - 1e-9)

    async def next_frame(self) -> aiohttp.WSMessage | None:
        """Return the next frame, or ``None`` for a pong; raises ``StreamLostError`` after too long a silence."""
        for _ in range(self._allowed):
            try:
                frame = await self._socket.receive(timeout=self._interval)
            except TimeoutError:
                await send(self._socket, None)
                continue
            if frame.type is aiohttp.WSMsgType.PING:
                await self._socket.pong(frame.data)
            if frame.type in (aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG):
                return None
            return frame
        raise StreamLostError("NETWORK_STREAM_SILENT", f"no sign of life for {self._silence_timeout_seconds} s")


async def connect(http: aiohttp.ClientSession, url: URL | str) -> aiohttp.ClientWebSocketResponse:
    """Open a websocket whose pings are answered by whoever reads it."""
    return await http.ws_connect(url, autoping=False, timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_WAIT_SECONDS))


async def within_deadline(step: Awaitable[Step], seconds: float) -> Step:
    """Return what ``step`` returns; raises ``StreamLostError`` when it fails or is not done in time."""
    try:
        async with asyncio.timeout(seconds):
            return await step
    except TimeoutError:
        failure = StreamLostError("TIMEOUT_READ", f"no answer to the login within {seconds} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        failure = _connect_failure(error)
    # Raised apart from its cause, which holds the request headers.
    raise failure


async def send(socket: aiohttp.ClientWebSocketResponse, message: Mapping[str, Any] | None) -> None:
    """Send a message, or a ping for ``None``."""
    try:
        await (socket.ping() if message is None else socket.send_str(json.dumps(message)))
    except (ConnectionError, aiohttp.ClientError) as error:
        raise StreamLostError("NETWORK_CONNECTION_LOST", f"the stream broke: {type(error).__name__}") from None


def require_data(frame: aiohttp.WSMessage) -> str | bytes:
    """Return what a frame holds; raises ``StreamLostError`` for one that ends the stream."""
    if frame.type in _END_TYPES:
        raise StreamLostError("NETWORK_CONNECTION_LOST", f"the stream was closed ({frame.data})")
    if frame.type not in _DATA_TYPES:
        raise StreamLostError("NETWORK_CONNECTION_LOST", f"the stream broke ({type(frame.data).__name__})")
    content: str | bytes = frame.data
    return content


def _connect_failure(error: Exception) -> StreamLostError:
    if isinstance(error, aiohttp.WSServerHandshakeError):
        code = _REFUSALS.get(error.status, "BROKER_UNAVAILABLE" if error.status >= 500 else "BROKER_STREAM_REFUSED")
        return StreamLostError(code, f"the stream was refused with HTTP {error.status}")
    name, text = type(error).__name__, str(error) or "no details"
    verdict = judge_exception(name, text)
    return StreamLostError(verdict.code if verdict else "SYSTEM_ADAPTER_FAILURE", f"{name}: {text}"[:MESSAGE_LIMIT])
