"""The fault board: which faults are switched on, and which of them strikes now. Time and draws are arguments."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import uuid4


class Operation(StrEnum):
    SUBMIT = "submit"
    CANCEL = "cancel"
    REPLACE = "replace"
    QUERY = "query"
    ACCOUNT = "account"
    STREAM = "stream"
    DATA = "data"
    ANY = "any"


class Endpoint(StrEnum):
    """Where a call came in: the broker may listen on a second port, before the same ledger."""

    PRIMARY = "primary"
    BACKUP = "backup"


class FaultKind(StrEnum):
    LATENCY = "latency"
    ERROR = "error"
    DROP_REPLY = "drop_reply"
    DROP_REQUEST = "drop_request"
    HANG = "hang"
    RATE_LIMIT = "rate_limit"
    AUTH_EXPIRED = "auth_expired"
    WRONG_DATA = "wrong_data"
    DISCONNECT_STREAMS = "disconnect_streams"
    REFUSE_STREAMS = "refuse_streams"
    SILENT_STREAM = "silent_stream"
    STALL_STREAMS = "stall_streams"
    ENDPOINT_DOWN = "endpoint_down"
    DUPLICATE_FILLS = "duplicate_fills"
    DELAY_FILLS = "delay_fills"
    REORDER_FILLS = "reorder_fills"
    MARKET_CLOSED = "market_closed"
    NO_DEDUPE = "no_dedupe"
    PAUSE_MATCHING = "pause_matching"
    IB_ERROR = "ib_error"
    WITHHOLD_FEES = "withhold_fees"
    IB_LINK_DOWN = "ib_link_down"
    IB_EXIT_REFUSED = "ib_exit_refused"


REPLY_KINDS = frozenset(
    {
        FaultKind.ERROR,
        FaultKind.DROP_REPLY,
        FaultKind.DROP_REQUEST,
        FaultKind.HANG,
        FaultKind.RATE_LIMIT,
        FaultKind.AUTH_EXPIRED,
        FaultKind.WRONG_DATA,
    }
)
IB_REPLY_KINDS = REPLY_KINDS | {FaultKind.IB_ERROR}
FILL_KINDS = frozenset({FaultKind.DUPLICATE_FILLS, FaultKind.DELAY_FILLS, FaultKind.REORDER_FILLS})
CONDITION_KINDS = frozenset(
    {
        FaultKind.MARKET_CLOSED,
        FaultKind.NO_DEDUPE,
        FaultKind.PAUSE_MATCHING,
        FaultKind.IB_LINK_DOWN,
        FaultKind.STALL_STREAMS,
        FaultKind.ENDPOINT_DOWN,
    }
)
ENDPOINT_KINDS = REPLY_KINDS | {
    FaultKind.LATENCY,
    FaultKind.DISCONNECT_STREAMS,
    FaultKind.REFUSE_STREAMS,
    FaultKind.SILENT_STREAM,
    FaultKind.STALL_STREAMS,
    FaultKind.ENDPOINT_DOWN,
}
"""Faults that can be of one endpoint alone."""

Check = Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_status(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 200 <= value <= 599


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_headers(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(v, str) and v.isprintable() for v in value.values())


def _one_of(*choices: str) -> Check:
    return lambda value: value in choices


PARAMETERS: dict[FaultKind, dict[str, Check]] = {
    FaultKind.LATENCY: {"ms": _is_number, "jitter_ms": _is_number, "applied": _is_flag},
    FaultKind.ERROR: {
        "status": _is_status,
        "body": lambda value: True,
        "headers": _is_headers,
        "content_type": _is_text,
        "applied": _is_flag,
    },
    FaultKind.DROP_REPLY: {},
    FaultKind.DROP_REQUEST: {},
    FaultKind.HANG: {"applied": _is_flag},
    FaultKind.RATE_LIMIT: {
        "retry_after": _one_of("seconds", "date", "none"),
        "seconds_to_wait": _is_count,
        "per_minute": _is_count,
    },
    FaultKind.AUTH_EXPIRED: {"status": lambda value: value in (401, 403)},
    FaultKind.WRONG_DATA: {"mode": _one_of("malformed", "other_order", "missing_fields", "truncated", "gap")},
    FaultKind.DISCONNECT_STREAMS: {},
    FaultKind.REFUSE_STREAMS: {"status": _is_status},
    FaultKind.SILENT_STREAM: {},
    FaultKind.STALL_STREAMS: {},
    FaultKind.ENDPOINT_DOWN: {},
    FaultKind.DUPLICATE_FILLS: {"times": _is_count},
    FaultKind.DELAY_FILLS: {"ms": _is_number, "jitter_ms": _is_number},
    FaultKind.REORDER_FILLS: {"window": _is_count, "ms": _is_number},
    FaultKind.MARKET_CLOSED: {"mode": _one_of("queue", "refuse")},
    FaultKind.NO_DEDUPE: {},
    FaultKind.PAUSE_MATCHING: {},
    FaultKind.IB_ERROR: {
        "code": _is_count,
        "message": _is_text,
        "applied": _is_flag,
        "answered": _is_flag,
        "status": _one_of("Inactive", "Cancelled"),
    },
    FaultKind.WITHHOLD_FEES: {},
    FaultKind.IB_LINK_DOWN: {"data_lost": _is_flag},
    FaultKind.IB_EXIT_REFUSED: {},
}
COMMON_FIELDS: dict[str, tuple[Check, str]] = {
    "probability": (lambda value: _is_number(value) and value <= 1, "a number from 0 to 1"),
    "count": (_is_count, "a whole number of at least 1"),
    "seconds": (_is_number, "a number of seconds"),
}


class FaultRequestError(Exception):
    """A fault cannot be switched on as asked. The message says what is wrong."""


@dataclass(slots=True)
class Fault:
    id: str
    kind: FaultKind
    operation: Operation
    probability: float
    count: int | None
    expires_at: float | None
    parameters: dict[str, Any]
    endpoint: Endpoint | None = None
    hits: int = 0

    def concerns(self, endpoint: Endpoint) -> bool:
        return self.endpoint is None or self.endpoint is endpoint

    def summary(self, monotonic: float) -> dict[str, Any]:
        left = None if self.expires_at is None else round(max(self.expires_at - monotonic, 0.0), 3)
        return {
            "id": self.id,
            "kind": self.kind,
            "operation": self.operation,
            "endpoint": self.endpoint,
            "probability": self.probability,
            "count": self.count,
            "seconds_left": left,
            "parameters": self.parameters,
            "hits": self.hits,
        }


def parse_fault(fields: Any, monotonic: float) -> Fault:
    """Return the fault described by a JSON object.

    Raises:
        FaultRequestError: The description is wrong in some way.
    """
    if not isinstance(fields, Mapping):
        raise FaultRequestError("a fault is a JSON object")
    try:
        kind = FaultKind(str(fields.get("kind")))
    except ValueError as error:
        raise FaultRequestError(f"kind must be one of: {', '.join(FaultKind)}") from error
    try:
        operation = Operation(str(fields.get("operation", Operation.ANY)))
    except ValueError as error:
        raise FaultRequestError(f"operation must be one of: {', '.join(Operation)}") from error
    endpoint = _parse_endpoint(fields, kind)
    parameters = {k: v for k, v in fields.items() if k not in ("kind", "operation", "endpoint", *COMMON_FIELDS)}
    for name, value in parameters.items():
        if name not in PARAMETERS[kind]:
            raise FaultRequestError(f"{kind} has no parameter {name}")
        if not PARAMETERS[kind][name](value):
            raise FaultRequestError(f"{kind}: bad value for {name}: {value!r}")
    for name, (check, wanted) in COMMON_FIELDS.items():
        if fields.get(name) is not None and not check(fields[name]):
            raise FaultRequestError(f"{name} must be {wanted}")
    seconds = fields.get("seconds")
    return Fault(
        id=str(uuid4()),
        kind=kind,
        operation=operation,
        probability=float(fields.get("probability", 1.0)),
        count=fields.get("count"),
        expires_at=None if seconds is None else monotonic + seconds,
        parameters=parameters,
        endpoint=endpoint,
    )


def _parse_endpoint(fields: Mapping[str, Any], kind: FaultKind) -> Endpoint | None:
    """Return the endpoint that the fault is of; None: it is of the whole broker."""
    if fields.get("endpoint") is None:
        if kind is FaultKind.ENDPOINT_DOWN:
            raise FaultRequestError(f"{kind} wants an endpoint: {', '.join(Endpoint)}")
        return None
    if kind not in ENDPOINT_KINDS:
        raise FaultRequestError(f"{kind} is of the whole broker and takes no endpoint")
    try:
        return Endpoint(str(fields["endpoint"]))
    except ValueError as error:
        raise FaultRequestError(f"endpoint must be one of: {', '.join(Endpoint)}") from error


@dataclass
class FaultBoard:
    """The faults switched on, in the order they were posted. ``on_off`` hears of each one that ends by itself."""

    monotonic: Callable[[], float]
    draw: Callable[[], float]
    on_off: Callable[[Fault, str], object]
    faults: dict[str, Fault] = field(default_factory=dict)

    def add(self, fault: Fault) -> None:
        self.faults[fault.id] = fault

    def remove(self, fault_id: str, reason: str) -> Fault | None:
        fault = self.faults.pop(fault_id, None)
        if fault is not None:
            self.on_off(fault, reason)
        return fault

    def expire(self) -> None:
        now = self.monotonic()
        for fault in list(self.faults.values()):
            if fault.expires_at is not None and fault.expires_at <= now:
                self.remove(fault.id, "expired")

    def strike(
        self, kinds: frozenset[FaultKind], operation: Operation, endpoint: Endpoint = Endpoint.PRIMARY
    ) -> Fault | None:
        """Return the first fault of these kinds that hits now, counting the hit."""
        if not self.faults:
            return None
        self.expire()
        for fault in list(self.faults.values()):
            applies = fault.kind in kinds and fault.operation in (operation, Operation.ANY)
            if applies and fault.concerns(endpoint) and self.draw() < fault.probability:
                self._hit(fault)
                return fault
        return None

    def find_active(self, kind: FaultKind) -> Fault | None:
        """Find a switched-on condition. Looking does not count as a hit."""
        return next((fault for fault in self.faults.values() if fault.kind is kind), None)

    def is_active_at(self, kind: FaultKind, endpoint: Endpoint) -> bool:
        """Tell whether a condition holds at an endpoint. Looking does not count as a hit."""
        return any(fault.kind is kind and fault.concerns(endpoint) for fault in self.faults.values())

    def _hit(self, fault: Fault) -> None:
        fault.hits += 1
        if fault.count is not None and fault.hits >= fault.count:
            self.remove(fault.id, "used up")
