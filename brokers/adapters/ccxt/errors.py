"""The errors of failed calls to an exchange: from what was sent and what came back, judged by the rules of ccxt.

One rule outweighs the rest: a failure that is wrongly taken for "not carried out" becomes a doubled
order. ccxt's class alone never proves that; the record of the call does.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from brokers.adapters.ccxt.rules import CLASSES, SOURCE, resolve_ccxt
from brokers.adapters.ccxt.transport import Attempt, AttemptError, CallRecord, LostConnectionError, NotBegunError, Reply
from brokers.adapters.errors import BrokerCallError
from brokers.adapters.failures.bodies import read_body
from brokers.adapters.failures.verdicts import unexplained, unproven
from reliability.core.catalog import get_definition
from reliability.core.classification import Operation, RawFailure
from reliability.core.retry import parse_retry_after
from reliability.core.rules import Proof, Verdict
from reliability.core.taxonomy import ErrorCategory, FailureKind

MESSAGE_LIMIT = 500
_SEARCHED = 65_536
_EFFECTFUL = frozenset({Operation.SUBMIT, Operation.CANCEL, Operation.MODIFY})
_CURABLE = frozenset({"AUTH_FORBIDDEN", "AUTH_INVALID_CREDENTIALS"})
_ADAPTER_FAILURE = "SYSTEM_ADAPTER_FAILURE"


class ParseError(ValueError):
    """What ccxt made of a reply does not keep the contract; nothing in it may be believed."""


class WrongOrderError(ParseError):
    """A reply about an order other than the one asked about."""


def call_error(
    operation: Operation,
    exchange_id: str,
    error: Exception,
    record: CallRecord,
    *,
    refuses_in_success: bool,
    now: datetime,
) -> BrokerCallError:
    """Return what a failed call proves.

    Args:
        operation: What was asked.
        exchange_id: ccxt's name of the exchange.
        error: What ended the call: an exception of ccxt, of the transport, or of our own parsing.
        record: The requests that were made.
        refuses_in_success: Whether this exchange refuses with an HTTP status of success.
        now: The time, aware, from which dates in headers count.
    """
    attempt = record.decisive
    if attempt is None:
        return _without_effect(operation, exchange_id, error, record, refuses_in_success, now)
    if attempt.failure is not None:
        return _transport_error(operation, attempt, attempt.failure)
    reply = attempt.reply
    if reply is None:  # the call was ended from outside while the request was under way
        return BrokerCallError(unproven_kind(operation), "NETWORK_CONNECTION_LOST", _text(error), _name(error))
    if isinstance(error, ParseError) or not is_of_ccxt(error) or (reply.status // 100 == 2 and not refuses_in_success):
        return _distrust(operation, reply, error)
    return _refusal(operation, exchange_id, error, reply, now)


def preparation_error(exchange_id: str, error: Exception, record: CallRecord, now: datetime) -> BrokerCallError:
    """Return the error of a call that failed before it began: nothing of it was carried out."""
    failure = call_error(Operation.QUERY, exchange_id, error, record, refuses_in_success=True, now=now)
    kind = FailureKind.THROTTLED if failure.kind is FailureKind.THROTTLED else FailureKind.TRANSIENT
    return BrokerCallError(kind, failure.code, failure.message, failure.raw_code, failure.retry_after_seconds)


def not_sent(kind: FailureKind, code: str, message: str) -> BrokerCallError:
    """Return the error of a call that was stopped on our side."""
    return BrokerCallError(kind, code, message[:MESSAGE_LIMIT])


def unproven_kind(operation: Operation) -> FailureKind:
    """Return what a failure is when nothing is proven."""
    return FailureKind.AMBIGUOUS if operation in _EFFECTFUL else FailureKind.TRANSIENT


def is_of_ccxt(error: Exception) -> bool:
    """Return whether an exception is of one of ccxt's classes, told by name, so that ccxt need not be there."""
    return any(base.__name__.lower() in CLASSES and base.__module__.startswith("ccxt.") for base in type(error).__mro__)


def is_absence(error: BrokerCallError) -> bool:
    """Return whether a failed query is the exchange's own word that there is no such order."""
    return error.kind is FailureKind.REJECTED and error.code == "BROKER_ORDER_NOT_FOUND"


def kind_of(operation: Operation, verdict: Verdict) -> FailureKind:
    """Return what a verdict proves about the operation.

    An order outlives bad credentials: they can be replaced while it waits, so it is not rejected for them.
    """
    if verdict.proof in (Proof.UNPROVEN, Proof.EXISTS):
        return unproven_kind(operation)
    if get_definition(verdict.code).category is ErrorCategory.RATE_LIMIT:
        return FailureKind.THROTTLED
    if verdict.retryable or verdict.code in _CURABLE:
        return FailureKind.TRANSIENT
    return FailureKind.REJECTED


def _without_effect(
    operation: Operation,
    exchange_id: str,
    error: Exception,
    record: CallRecord,
    refuses_in_success: bool,
    now: datetime,
) -> BrokerCallError:
    """Judge a call none of whose requests could have had an effect."""
    if isinstance(error, NotBegunError):
        return not_sent(FailureKind.TRANSIENT, error.code, error.message)
    if record.attempts:
        asked = CallRecord(effectful=False, attempts=record.attempts)
        failure = call_error(Operation.QUERY, exchange_id, error, asked, refuses_in_success=refuses_in_success, now=now)
        return BrokerCallError(FailureKind.TRANSIENT, failure.code, failure.message, failure.raw_code)
    verdict = resolve_ccxt(RawFailure(SOURCE, operation, _name(error), _text(error))) if is_of_ccxt(error) else None
    code = verdict.code if verdict is not None and verdict.proof is not Proof.UNPROVEN else _ADAPTER_FAILURE
    return BrokerCallError(FailureKind.REJECTED, code, _text(error), _name(error))


def _transport_error(operation: Operation, attempt: Attempt, error: Exception) -> BrokerCallError:
    """Judge an attempt that brought no usable reply, by the exception of the HTTP client."""
    if isinstance(error, AttemptError):
        status = f"{attempt.reply.status}/-" if attempt.reply else ""
        return BrokerCallError(unproven_kind(operation), error.code, _text(error), status)
    if isinstance(error, LostConnectionError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    raw = RawFailure(SOURCE, operation, _name(error), str(error), causes=_causes(error))
    verdict = resolve_ccxt(raw) or unexplained(unproven(_ADAPTER_FAILURE))
    message = f"{_name(error)}: {_text(error)}"[:MESSAGE_LIMIT]
    kind = kind_of(operation, verdict)
    return BrokerCallError(kind, verdict.code, message, _name(error), unexplained=verdict.unexplained)


def _refusal(operation: Operation, exchange_id: str, error: Exception, reply: Reply, now: datetime) -> BrokerCallError:
    """Judge an error that ccxt read out of a reply, by the reply itself."""
    body = read_body(reply.body[:_SEARCHED])
    raw = RawFailure(SOURCE, operation, _name(error), f"{exchange_id} {reply.body[:_SEARCHED]}", reply.status)
    verdict = resolve_ccxt(raw) or unexplained(unproven("BROKER_SERVER_ERROR"))
    kind = kind_of(operation, verdict)
    wait = None
    if kind is FailureKind.THROTTLED or reply.status >= 500:
        wait = parse_retry_after(_header(reply.headers, "Retry-After"), now)
    raw_code = f"{reply.status}/{'-' if body.code is None else body.code}"
    message = (body.message or _text(error))[:MESSAGE_LIMIT]
    seconds = wait.total_seconds() if wait is not None else None
    return BrokerCallError(kind, verdict.code, message, raw_code, seconds, unexplained=verdict.unexplained)


def _distrust(operation: Operation, reply: Reply, error: Exception) -> BrokerCallError:
    """Return the error of a reply that is no refusal and cannot be believed either."""
    code = "DATA_WRONG_ORDER" if isinstance(error, WrongOrderError) else "DATA_MALFORMED_REPLY"
    message = f"HTTP {reply.status}: {_text(error)}"[:MESSAGE_LIMIT]
    return BrokerCallError(unproven_kind(operation), code, message, f"{reply.status}/-")


def _causes(error: BaseException) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    cause = error.__cause__ or error.__context__
    while cause is not None and len(found) < 5:
        found.append((type(cause).__name__, str(cause)))
        cause = cause.__cause__ or cause.__context__
    return tuple(found)


def _header(headers: Any, name: str) -> str:
    return str(headers.get(name, "")) if isinstance(headers, Mapping) else ""


def _name(error: BaseException) -> str:
    return type(error).__name__


def _text(error: BaseException) -> str:
    return (str(error) or "no details")[:MESSAGE_LIMIT]
