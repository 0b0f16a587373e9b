"""The errors of failed calls to Alpaca: what the rules decide of a reply, and of the HTTP client's exceptions.

One rule outweighs the rest: a failure that is wrongly taken for "not carried out" becomes a
doubled order. A submission or cancel is only called refused or not sent when that is proven;
everything else is ambiguous and must be looked up.
"""

import asyncio
import errno
import re
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

import aiohttp

from brokers.adapters.alpaca.parsing import ParseError
from brokers.adapters.alpaca.rules import error_body, judge_reply
from brokers.adapters.errors import BrokerCallError
from brokers.adapters.failures.bodies import read_body
from reliability.core.catalog import get_definition
from reliability.core.classification import Operation as CallOperation
from reliability.core.rules import Proof, Verdict
from reliability.core.taxonomy import ErrorCategory, FailureKind

MESSAGE_LIMIT = 500
RETRY_AFTER_LIMIT_SECONDS = 60.0
CODES = frozenset(
    {
        "AUTH_ACCOUNT_RESTRICTED",
        "AUTH_FORBIDDEN",
        "AUTH_NOT_ENTITLED",
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
        "BROKER_POSITION_NOT_FOUND",
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
        "VALIDATION_ORDER_FINAL",
        "VALIDATION_UNKNOWN_SYMBOL",
        "VALIDATION_WRONG_STATE",
    }
)

_CURABLE = frozenset({"AUTH_FORBIDDEN", "AUTH_INVALID_CREDENTIALS"})
_UNREACHABLE_ERRNOS = {errno.ECONNREFUSED: "NETWORK_CONNECT_REFUSED", errno.ETIMEDOUT: "TIMEOUT_CONNECT"}


class Operation(StrEnum):
    """What was asked: queries have no effect, so failing them is never ambiguous."""

    SUBMIT = "submit"
    CANCEL = "cancel"
    REPLACE = "modify"
    QUERY = "query"


def classify_response(
    operation: Operation, status: int, headers: Mapping[str, str], body: str, now: datetime
) -> BrokerCallError:
    """Return the error behind a reply that is not a success.

    ``headers`` must be looked up without regard to case. ``body`` may be anything at all.
    """
    error = error_body(body)
    verdict = judge_reply(CallOperation(operation.value), status, error)
    kind = _kind(operation, verdict)
    message = error.message or f"HTTP {status} without a message"
    retry_after = _retry_after(headers, now) if kind is FailureKind.THROTTLED or status >= 500 else None
    raw_code = f"{status}/{'-' if error.code is None else error.code}"
    return BrokerCallError(
        kind, verdict.code, message[:MESSAGE_LIMIT], raw_code, retry_after, unexplained=verdict.unexplained
    )


def _kind(operation: Operation, verdict: Verdict) -> FailureKind:
    """Return what a verdict proves about the operation.

    An order outlives bad credentials: they can be replaced while it waits, so it is not rejected for them.
    """
    if verdict.proof in (Proof.UNPROVEN, Proof.EXISTS):
        return unproven_kind(operation)
    if get_definition(verdict.code).category is ErrorCategory.RATE_LIMIT:
        return FailureKind.THROTTLED
    if verdict.proof is Proof.NOT_SENT or verdict.retryable or verdict.code in _CURABLE:
        return FailureKind.TRANSIENT
    return FailureKind.REJECTED


def unproven_kind(operation: Operation) -> FailureKind:
    """Return what a failure is when nothing is proven."""
    return FailureKind.TRANSIENT if operation is Operation.QUERY else FailureKind.AMBIGUOUS


def is_absent_order(status: int, body: str) -> bool:
    """Return whether a reply is the broker's own word that there is no such order.

    Proxies, wrong paths and unknown accounts answer 404 as well: those say nothing about orders.
    """
    error = read_body(body)
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
    code = code or _exchange_code(exception)
    return BrokerCallError(kind, code, message, name, unexplained=code == "SYSTEM_ADAPTER_FAILURE")


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
