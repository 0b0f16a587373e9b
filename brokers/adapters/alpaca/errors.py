"""What a failed call to Alpaca proves.

One rule outweighs the rest: a failure that is wrongly taken for "not carried out" becomes a
doubled order. A submission or cancel is only called refused or not sent when that is proven;
everything else is ambiguous and must be looked up.
"""

import asyncio
import errno
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

import aiohttp

from brokers.adapters.alpaca.parsing import ParseError, parse_json
from brokers.adapters.alpaca.refusals import refusal_code
from brokers.adapters.errors import BrokerCallError
from reliability.core.taxonomy import FailureKind

MESSAGE_LIMIT = 500
RETRY_AFTER_LIMIT_SECONDS = 60.0
CODES = frozenset(
    {
        "AUTH_FORBIDDEN",
        "AUTH_INVALID_CREDENTIALS",
        "BROKER_ASSET_NOT_TRADABLE",
        "BROKER_DUPLICATE_CLIENT_ORDER_ID",
        "BROKER_INSUFFICIENT_FUNDS",
        "BROKER_INSUFFICIENT_POSITION",
        "BROKER_MARKET_CLOSED",
        "BROKER_ORDER_NOT_CANCELABLE",
        "BROKER_ORDER_NOT_FOUND",
        "BROKER_ORDER_REJECTED",
        "BROKER_PATTERN_DAY_TRADER",
        "BROKER_SERVER_ERROR",
        "BROKER_STREAM_REFUSED",
        "BROKER_UNAVAILABLE",
        "BROKER_WASH_TRADE",
        "DATA_MALFORMED_REPLY",
        "DATA_WRONG_ORDER",
        "NETWORK_CONNECTION_LOST",
        "NETWORK_CONNECT_REFUSED",
        "NETWORK_DNS_FAILED",
        "NETWORK_STREAM_SILENT",
        "NETWORK_TLS_FAILED",
        "NETWORK_UNREACHABLE",
        "RATE_LIMIT_EXCEEDED",
        "SYSTEM_ACCOUNT_MISCONFIGURED",
        "SYSTEM_ADAPTER_FAILURE",
        "SYSTEM_SESSION_CLOSED",
        "TIMEOUT_CONNECT",
        "TIMEOUT_GATEWAY",
        "TIMEOUT_READ",
        "VALIDATION_INVALID_ORDER",
        "VALIDATION_INVALID_REQUEST",
        "VALIDATION_UNKNOWN_SYMBOL",
    }
)

_GATEWAY_TIMEOUTS = frozenset({408, 504, 522, 524})
_UNAVAILABLE = frozenset({502, 503, 520, 521, 523})
_REFUSAL_STATUSES = frozenset({400, 403, 404, 422})
_PERMISSION = re.compile(r"^(request is )?(forbidden|unauthorized|not authorized|access denied)\W*$")
_DUPLICATE = re.compile(r"client.?order.?id must be unique|duplicate client.?order.?id")
_UNREACHABLE_ERRNOS = {errno.ECONNREFUSED: "NETWORK_CONNECT_REFUSED", errno.ETIMEDOUT: "TIMEOUT_CONNECT"}


class Operation(StrEnum):
    """What was asked: queries have no effect, so failing them is never ambiguous."""

    SUBMIT = "submit"
    CANCEL = "cancel"
    QUERY = "query"


@dataclass(frozen=True, slots=True)
class _ErrorBody:
    """The broker's own error document, or the lack of one."""

    is_json: bool
    code: int | None
    message: str

    @property
    def is_refusal(self) -> bool:
        return self.is_json and (self.code is not None or bool(self.message))


def classify_response(
    operation: Operation, status: int, headers: Mapping[str, str], body: str, now: datetime
) -> BrokerCallError:
    """Return the error behind a reply that is not a success.

    ``headers`` must be looked up without regard to case. ``body`` may be anything at all.
    """
    error = _read_body(body)
    kind, code = _judge(operation, status, error)
    message = error.message or f"HTTP {status} without a message"
    retry_after = _retry_after(headers, now) if kind is FailureKind.THROTTLED or status >= 500 else None
    raw_code = f"{status}/{'-' if error.code is None else error.code}"
    return BrokerCallError(kind, code, message[:MESSAGE_LIMIT], raw_code, retry_after)


def _judge(operation: Operation, status: int, error: _ErrorBody) -> tuple[FailureKind, str]:
    unproven = unproven_kind(operation)
    if status == 429:
        return FailureKind.THROTTLED, "RATE_LIMIT_EXCEEDED"
    if status >= 500 or status == 408:
        return unproven, _server_code(status)
    if operation is Operation.SUBMIT and _DUPLICATE.search(error.message.lower()):
        return FailureKind.AMBIGUOUS, "BROKER_DUPLICATE_CLIENT_ORDER_ID"
    if status in (401, 403) and _is_about_identity(status, error):
        return FailureKind.TRANSIENT, "AUTH_INVALID_CREDENTIALS" if status == 401 else "AUTH_FORBIDDEN"
    if status == 404 and not is_about_a_known_thing(error.code, error.message):
        return unproven, "DATA_MALFORMED_REPLY"
    if status in _REFUSAL_STATUSES and error.is_refusal:
        return FailureKind.REJECTED, refusal_code(operation.value, status, error.code, error.message)
    return unproven, "DATA_MALFORMED_REPLY"


def unproven_kind(operation: Operation) -> FailureKind:
    """Return what a failure is when nothing is proven."""
    return FailureKind.TRANSIENT if operation is Operation.QUERY else FailureKind.AMBIGUOUS


def _server_code(status: int) -> str:
    if status in _GATEWAY_TIMEOUTS:
        return "TIMEOUT_GATEWAY"
    return "BROKER_UNAVAILABLE" if status in _UNAVAILABLE else "BROKER_SERVER_ERROR"


def _is_about_identity(status: int, error: _ErrorBody) -> bool:
    """Tell a refusal of the caller from a refusal of the order, and from a page of some proxy."""
    if not error.is_json and error.message:
        return False
    if status == 401 or not error.message or _PERMISSION.match(error.message.lower()):
        return True
    return error.code is None and refusal_code("submit", status, None, error.message) == "BROKER_ORDER_REJECTED"


def is_about_a_known_thing(code: int | None, message: str) -> bool:
    """Return whether a 404 speaks of an order, position or asset rather than of a path or an account."""
    return bool(re.search(r"(order|asset|position|symbol)\b.*not (be )?found", message.lower())) and (
        code is None or code // 100_000 == 404
    )


def is_absent_order(status: int, body: str) -> bool:
    """Return whether a reply is the broker's own word that there is no such order.

    Proxies, wrong paths and unknown accounts answer 404 as well: those say nothing about orders.
    """
    error = _read_body(body)
    known_code = error.code in (None, 40410000)
    return status == 404 and error.is_json and known_code and "order not found" in error.message.lower()


def malformed_reply(operation: Operation, status: int, reason: str) -> BrokerCallError:
    """Return the error of a success whose content cannot be believed."""
    message = f"HTTP {status}: {reason}"[:MESSAGE_LIMIT]
    return BrokerCallError(unproven_kind(operation), "DATA_MALFORMED_REPLY", message, f"{status}/-")


def wrong_order(operation: Operation, status: int) -> BrokerCallError:
    """Return the error of a reply about an order other than the one asked about."""
    message = "the reply is about another order"
    return BrokerCallError(unproven_kind(operation), "DATA_WRONG_ORDER", message, f"{status}/-")


def not_sent(kind: FailureKind, code: str, message: str) -> BrokerCallError:
    """Return the error of a call that was stopped on our side."""
    return BrokerCallError(kind, code, message[:MESSAGE_LIMIT])


def classify_exception(operation: Operation, exception: BaseException) -> BrokerCallError:
    """Return the error behind an exception of the HTTP client.

    Connector errors happen before the request is written, so they prove that nothing was sent.
    """
    code = _connect_code(exception)
    kind = FailureKind.TRANSIENT if code else unproven_kind(operation)
    name = type(exception).__name__
    message = f"{name}: {_describe(exception)}"[:MESSAGE_LIMIT]
    return BrokerCallError(kind, code or _exchange_code(exception), message, name)


def _connect_code(exception: BaseException) -> str:
    """Return the code of a failure to connect, or nothing when the request may have left."""
    if isinstance(exception, aiohttp.ConnectionTimeoutError):
        return "TIMEOUT_CONNECT"
    if isinstance(exception, aiohttp.ClientConnectorDNSError | socket.gaierror):
        return "NETWORK_DNS_FAILED"
    if isinstance(exception, aiohttp.ClientSSLError):
        return "NETWORK_TLS_FAILED"
    if isinstance(exception, aiohttp.ClientConnectorError):
        return _UNREACHABLE_ERRNOS.get(exception.errno or 0, "NETWORK_UNREACHABLE")
    return ""


def _exchange_code(exception: BaseException) -> str:
    if isinstance(exception, asyncio.TimeoutError):
        return "TIMEOUT_READ"
    if isinstance(exception, aiohttp.ClientPayloadError | aiohttp.ClientResponseError | ParseError):
        return "DATA_MALFORMED_REPLY"
    if isinstance(exception, aiohttp.ClientConnectionError | OSError):
        return "NETWORK_CONNECTION_LOST"
    return "SYSTEM_ADAPTER_FAILURE"


def _describe(exception: BaseException) -> str:
    if isinstance(exception, aiohttp.ClientResponseError):
        return exception.message  # the whole of it holds the request headers
    return str(exception) or "no details"


def _read_body(body: str) -> _ErrorBody:
    try:
        document = parse_json(body)
    except ParseError:
        return _ErrorBody(False, None, " ".join(body.split())[:MESSAGE_LIMIT])
    if not isinstance(document, dict):
        return _ErrorBody(False, None, " ".join(body.split())[:MESSAGE_LIMIT])
    code, message = document.get("code"), document.get("message")
    return _ErrorBody(True, _as_code(code), message if isinstance(message, str) else "")


def _as_code(code: object) -> int | None:
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < 12:
        return int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the wait the broker named, from 0 to the limit, or None when it named none."""
    for wait in (_named_wait(headers.get("Retry-After", ""), now), _reset_wait(headers, now)):
        if wait is not None:
            return min(max(wait, 0.0), RETRY_AFTER_LIMIT_SECONDS)
    return None


def _named_wait(text: str, now: datetime) -> float | None:
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", text.strip()):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()


def _reset_wait(headers: Mapping[str, str], now: datetime) -> float | None:
    text = headers.get("X-Ratelimit-Reset", "").strip()
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text):
        return None
    return float(text) - now.timestamp()
