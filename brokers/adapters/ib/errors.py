"""What a failed call to a gateway proves.

An order is called refused only when its own status says that it ended and an error says why. Everything else
that follows a message that left is ambiguous, for a submission or cancel, and no information for a query.
"""

import asyncio
import errno
import socket

from brokers.adapters.errors import BrokerCallError, StreamLostError
from brokers.adapters.ib.rules import judge_code
from reliability.core.classification import Operation
from reliability.core.rules import Proof
from reliability.core.taxonomy import FailureKind

MESSAGE_LIMIT = 500
THROTTLE_SECONDS = 1.0
_EFFECTFUL = frozenset({Operation.SUBMIT, Operation.CANCEL})


class GatewayError(Exception):
    """Something that ends what waits on a connection; ``code`` is of the error catalogue."""

    def __init__(self, code: str, message: str, raw_code: str = "") -> None:
        super().__init__(code, message, raw_code)
        self.code = code
        self.message = message
        self.raw_code = raw_code


class ApiError(Exception):
    """The gateway's own error message about one request or order: its number and text."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(number, text)
        self.number = number
        self.text = text


class OrderEndedError(ApiError):
    """An error message about an order whose own status says that it ended unfilled."""


class ExitRefusedError(ApiError):
    """An exit was refused although its entry was taken: the entry stands without it until it is canceled."""


class ClientIdInUseError(GatewayError):
    """Another connection is logged on under the same client id."""

    def __init__(self, client_id: int) -> None:
        Exception.__init__(self, client_id)
        self.code = "AUTH_SESSION_CONFLICT"
        self.message = f"client id {client_id} is in use"
        self.raw_code = "326"


def call_error(operation: Operation, failure: Exception) -> BrokerCallError:
    """Return the error of a call whose message had left, or whose query failed."""
    if isinstance(failure, OrderEndedError):
        return _judged(operation, failure)
    if isinstance(failure, ExitRefusedError):
        text, raw_code = failure.text[:MESSAGE_LIMIT], str(failure.number)
        return BrokerCallError(unproven_kind(operation), "BROKER_EXIT_REFUSED", text, raw_code)
    if isinstance(failure, ApiError):
        return _unproven(operation, failure)
    if isinstance(failure, GatewayError):
        kind = unproven_kind(operation)
        return BrokerCallError(kind, failure.code, failure.message[:MESSAGE_LIMIT], failure.raw_code)
    text = f"{type(failure).__name__}: {failure}"[:MESSAGE_LIMIT]
    name, kind = type(failure).__name__, unproven_kind(operation)
    return BrokerCallError(kind, "SYSTEM_ADAPTER_FAILURE", text, name, unexplained=True)


def unproven_kind(operation: Operation) -> FailureKind:
    """Return what a failure is when nothing is proven."""
    return FailureKind.AMBIGUOUS if operation in _EFFECTFUL else FailureKind.TRANSIENT


def connect_error(failure: Exception) -> BrokerCallError:
    """Return the error of a connection that did not come about, so that nothing was sent."""
    name = type(failure).__name__
    if isinstance(failure, GatewayError):
        return not_sent(failure.code, failure.message, failure.raw_code)
    if isinstance(failure, asyncio.TimeoutError):
        return not_sent("TIMEOUT_CONNECT", "the gateway did not let us in in time", name)
    if isinstance(failure, socket.gaierror):
        return not_sent("NETWORK_DNS_FAILED", str(failure), name)
    if isinstance(failure, ConnectionRefusedError):
        return not_sent("NETWORK_CONNECT_REFUSED", str(failure), name)
    if isinstance(failure, OSError):
        code = "TIMEOUT_CONNECT" if failure.errno == errno.ETIMEDOUT else "NETWORK_UNREACHABLE"
        return not_sent(code, str(failure), name)
    return not_sent("SYSTEM_ADAPTER_FAILURE", f"{name}: {failure}", name)


def not_sent(code: str, message: str, raw_code: str = "") -> BrokerCallError:
    """Return the error of a call that was stopped before its message left, and may work later."""
    return BrokerCallError(FailureKind.TRANSIENT, code, message[:MESSAGE_LIMIT], raw_code)


def refused(code: str, message: str, raw_code: str = "") -> BrokerCallError:
    """Return the error of a call that is refused for good."""
    return BrokerCallError(FailureKind.REJECTED, code, message[:MESSAGE_LIMIT], raw_code)


def out_of_pace() -> BrokerCallError:
    message = "too many messages wait for this gateway already"
    return BrokerCallError(FailureKind.THROTTLED, "RATE_LIMIT_LOCAL", message, "", THROTTLE_SECONDS)


def timed_out(operation: Operation, *, sent: bool, seconds: float) -> BrokerCallError:
    """Return the error of a call whose time ran out, before or after its message left."""
    if not sent:
        return not_sent("TIMEOUT_CONNECT", f"could not be sent within {seconds:g} s", "TimeoutError")
    message = f"no answer within {seconds:g} s"
    return BrokerCallError(unproven_kind(operation), "TIMEOUT_READ", message, "TimeoutError")


def unknown_contract(failure: ApiError) -> BrokerCallError | None:
    """Return the refusal of a symbol, or None when the error is about something else."""
    verdict = judge_code(Operation.SUBMIT, failure.number, failure.text)
    if failure.number != 200 or verdict is None:
        return None
    return refused(verdict.code, failure.text, str(failure.number))


def stream_error(failure: BrokerCallError) -> StreamLostError:
    return StreamLostError(failure.code, failure.message)


def _judged(operation: Operation, failure: ApiError) -> BrokerCallError:
    verdict = judge_code(operation, failure.number, failure.text)
    text, raw_code = failure.text[:MESSAGE_LIMIT], str(failure.number)
    if verdict is None or verdict.proof is Proof.UNPROVEN or verdict.proof is Proof.EXISTS:
        unexplained = verdict is None
        return BrokerCallError(FailureKind.REJECTED, "BROKER_ORDER_REJECTED", text, raw_code, unexplained=unexplained)
    return refused(verdict.code, text, raw_code)


def _unproven(operation: Operation, failure: ApiError) -> BrokerCallError:
    verdict = judge_code(operation, failure.number, failure.text)
    code = verdict.code if verdict is not None else "BROKER_SERVER_ERROR"
    text, raw_code = failure.text[:MESSAGE_LIMIT], str(failure.number)
    return BrokerCallError(unproven_kind(operation), code, text, raw_code, unexplained=verdict is None)
