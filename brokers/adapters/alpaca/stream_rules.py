"""What Alpaca's websockets say when they fail: market data, trade updates, and the close of either.

Sources:
    "WebSocket Stream" (market data: error codes 400-410, 412, 413, 500) and "Websocket Streaming" (trade
    updates: authorization and listening) in Alpaca's documentation; RFC 6455 section 7.4.1 for close codes.
"""

import re

from brokers.adapters.alpaca.rules import server_code
from brokers.adapters.failures.bodies import as_code, find_status, is_page, read_body
from brokers.adapters.failures.transport import judge_exception, short_name
from brokers.adapters.failures.verdicts import EFFECTFUL, refused, refused_for_now, unproven
from reliability.core.classification import RawFailure
from reliability.core.rules import Verdict
from reliability.core.sources.classes import status_in

SOURCE = "alpaca_stream"
_REFUSALS = {
    400: "VALIDATION_INVALID_REQUEST",
    401: "AUTH_INVALID_CREDENTIALS",
    402: "AUTH_INVALID_CREDENTIALS",
    403: "VALIDATION_WRONG_STATE",
    404: "TIMEOUT_LOGIN",
    405: "RATE_LIMIT_SUBSCRIPTIONS",
    406: "RATE_LIMIT_CONNECTIONS",
    407: "SYSTEM_SLOW_CONSUMER",
    408: "AUTH_NOT_ENTITLED",
    409: "AUTH_NOT_ENTITLED",
    410: "VALIDATION_INVALID_REQUEST",
    411: "AUTH_FORBIDDEN",
    412: "VALIDATION_INVALID_REQUEST",
    413: "RATE_LIMIT_SUBSCRIPTIONS",
    500: "BROKER_SERVER_ERROR",
}
_PASSING = frozenset({"TIMEOUT_LOGIN", "RATE_LIMIT_CONNECTIONS", "SYSTEM_SLOW_CONSUMER", "BROKER_SERVER_ERROR"})
_BY_TEXT = tuple(
    (re.compile(pattern), code)
    for pattern, code in (
        (r"connection limit exceeded|too many (concurrent )?connections", 406),
        (r"already authenticated", 403),
        (r"not authenticated", 401),
        (r"auth(entication|orization)? timeout", 404),
        (r"symbol limit exceeded|too many (quote )?subscriptions|limit of .*(symbols|subscriptions)", 405),
        (r"slow client", 407),
        (r"insufficient subscription|subscription does not", 409),
        (r"(trading|v2) (is )?not enabled", 408),
        (
            r'"streams": ?\[\]|(trade_updates|listen|streams).*(not available|not granted|missing)'
            r"|does not grant|not listening",
            411,
        ),
        (r"auth failed|unauthorized|failed to auth|not authorized|access key verification failed", 402),
        (r"invalid subscribe|msgpack", 410),
        (r"invalid syntax|invalid action|unknown action", 400),
        (r"internal (server )?error", 500),
    )
)
_SILENT = re.compile(r"keepalive ping timeout|ping/pong timed out|no pong")
_HANDSHAKES = {401: "AUTH_INVALID_CREDENTIALS", 403: "AUTH_FORBIDDEN", 404: "BROKER_STREAM_REFUSED"}
_CLOSES = {
    1000: "NETWORK_STREAM_CLOSED", 1001: "NETWORK_STREAM_CLOSED", 1002: "DATA_MALFORMED_REPLY",
    1003: "DATA_MALFORMED_REPLY", 1005: "NETWORK_STREAM_CLOSED", 1006: "NETWORK_CONNECTION_LOST",
    1007: "DATA_MALFORMED_REPLY", 1008: "AUTH_FORBIDDEN", 1009: "DATA_MALFORMED_REPLY",
    1010: "VALIDATION_INVALID_REQUEST", 1011: "BROKER_SERVER_ERROR", 1012: "NETWORK_STREAM_CLOSED",
    1013: "BROKER_OVERLOADED", 1014: "BROKER_UNAVAILABLE", 1015: "NETWORK_TLS_FAILED",
}  # fmt: skip
_HANDSHAKE_NAMES = frozenset({"wsserverhandshakeerror", "invalidstatuscode", "invalidstatus", "invalidhandshake"})
_CLOSE_NAMES = frozenset({"connectionclosed", "connectionclosedok", "connectionclosederror", "websocketexception"})


def resolve_stream(raw: RawFailure) -> Verdict | None:
    """Return what a message, close or failed handshake of a stream means, or None when it is not known.

    The raw code is Alpaca's code (``406``), a close code (``1006``), ``HTTP/...`` or ``handshake/...``
    with the status of a refused handshake, an exception class, or what the message was about
    (``authorization``, ``listening``).
    """
    verdict = _verdict(raw)
    if verdict is not None and raw.operation in EFFECTFUL:
        return unproven(verdict.code)  # a stream carries no orders: its failure proves nothing about one
    return verdict


def _verdict(raw: RawFailure) -> Verdict | None:
    body = read_body(raw.message)
    text = (body.message or raw.message).lower()
    label, _, rest = raw.raw_code.strip().lower().rpartition("/")
    code = as_code(rest) if as_code(rest) is not None else body.code
    if label in ("http", "handshake") or (raw.http_status and code is None) or short_name(rest) in _HANDSHAKE_NAMES:
        status = code or raw.http_status or find_status(raw.message) or status_in(raw.message.lower())
        return _handshake(status, text, raw.message)
    if _SILENT.search(text):
        return unproven("NETWORK_STREAM_SILENT")
    if code is not None and code in _CLOSES:
        return _close(code, text)
    if is_page(raw.message):
        return unproven("BROKER_STREAM_REFUSED")
    known = _by_text(text)
    if code in _REFUSALS and not (known and _is_more_telling(known)):
        return _refusal(code)
    if known:
        return _refusal(known)
    if label == "authorization" or rest in ("authorization", "unauthorized"):
        return refused("AUTH_INVALID_CREDENTIALS")
    if rest == "listening":
        return refused("AUTH_FORBIDDEN")
    if short_name(rest) in _CLOSE_NAMES:
        return unproven("NETWORK_STREAM_CLOSED")
    return judge_exception(rest, raw.message)


def _refusal(code: int) -> Verdict:
    name = _REFUSALS[code]
    return refused_for_now(name) if name in _PASSING else refused(name)


def _is_more_telling(code: int) -> bool:
    """Return whether a text outweighs the number it came with: limits are told under several numbers."""
    return code == 406


def _by_text(text: str) -> int | None:
    for pattern, code in _BY_TEXT:
        if pattern.search(text):
            return code
    return None


def _handshake(status: int | None, text: str, message: str) -> Verdict:
    if status == 429 or _by_text(text) == 406:
        return refused_for_now("RATE_LIMIT_CONNECTIONS" if _by_text(text) == 406 else "RATE_LIMIT_EXCEEDED")
    if status is not None and (status >= 500 or status == 408):
        return unproven(server_code(status))
    if status in (401, 403) and not is_page(message):
        return refused(_HANDSHAKES[status])
    return unproven("BROKER_STREAM_REFUSED")


def _close(code: int, text: str) -> Verdict:
    known = _by_text(text)
    if known:
        return _refusal(known)
    name = _CLOSES[code]
    return refused(name) if name in ("AUTH_FORBIDDEN", "VALIDATION_INVALID_REQUEST") else unproven(name)
