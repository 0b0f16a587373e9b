"""How calls to one dependency are guarded, and what a failure says about the dependency."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from reliability.core.budget import DEFAULT_BUDGET, BudgetPolicy
from reliability.core.bulkhead import BulkheadLimit
from reliability.core.classification import ClassifiedError, Operation
from reliability.core.rate_limit import Priority, RateLimit
from reliability.core.retry import NO_RETRY, RetryPolicy
from reliability.core.taxonomy import ErrorCategory, RecoveryStrategy


class CircuitEffect(StrEnum):
    """What a failed call tells the circuit.

    ``FAILURE``: the dependency does not work. ``SUCCESS``: it worked and said no. ``NONE``: nothing about it.
    """

    FAILURE = "failure"
    SUCCESS = "success"
    NONE = "none"


_BROKEN_STRATEGIES = frozenset({RecoveryStrategy.CIRCUIT_BREAK, RecoveryStrategy.RETRY_BACKOFF})
_UNKNOWN = frozenset({"BROKER_UNCLASSIFIED", "SYSTEM_UNCLASSIFIED"})
_BROKEN_REPLIES = frozenset({"DATA_MALFORMED_REPLY"})


def circuit_effect(error: ClassifiedError) -> CircuitEffect:
    """Return what ``error`` tells the circuit of the dependency that was called.

    Network failures, timeouts, server errors and replies that cannot be read count. A refusal or a
    failed validation is an answer, so it counts as a success. Credentials belong to one account and
    a rate limit to our own pace; neither may stop the other accounts, and our own faults say nothing.
    An exception nobody knows came out of the call, so the guess is that the dependency failed.
    """
    definition = error.definition
    if error.guessed and error.code in _UNKNOWN:
        return CircuitEffect.FAILURE
    match error.category:
        case ErrorCategory.NETWORK | ErrorCategory.TIMEOUT:
            return CircuitEffect.FAILURE
        case ErrorCategory.BROKER:
            is_broken = definition.retryable and definition.strategy in _BROKEN_STRATEGIES
            return CircuitEffect.FAILURE if is_broken else CircuitEffect.SUCCESS
        case ErrorCategory.DATA:
            return CircuitEffect.FAILURE if error.code in _BROKEN_REPLIES else CircuitEffect.SUCCESS
        case ErrorCategory.VALIDATION:
            return CircuitEffect.SUCCESS
        case _:
            return CircuitEffect.NONE


@dataclass(frozen=True, slots=True)
class GuardPolicy:
    """Everything that decides about the calls of one operation of one dependency.

    ``name`` is the dependency: its retry budget and its bulkhead in this process. ``operation_class``
    names its circuit besides (``name:operation_class``), ``account`` its rate limit, for brokers count
    by account. ``operation`` and ``source`` are for the classification of failures. ``idempotent``:
    repeating the call changes nothing, so it is repeated even when its outcome is unknown.
    ``timeout`` is for one attempt; ``wait_limit`` is how long a call may wait for a place or for the rate
    before it is refused. ``group`` names the calls whose places the bulkheads keep. ``failures`` are exceptions that
    mean, for this dependency, that it is broken for now.
    ``shared_bulkhead`` bounds the calls of all processes together, at one trip to Redis a call each way; a place
    is lent for the timeout, or for ``place_lease`` where what is called watches its own time.
    ``recovery_per_second`` is the pace, over all processes, at which waiting work comes back.
    """

    name: str
    operation: Operation = Operation.SUBMIT
    operation_class: str = ""
    account: str = ""
    source: str = "python"
    priority: Priority = Priority.NORMAL
    group: str = ""
    timeout: timedelta | None = None
    retry: RetryPolicy = NO_RETRY
    budget: BudgetPolicy = DEFAULT_BUDGET
    rate_limit: RateLimit | None = None
    bulkhead: BulkheadLimit | None = None
    shared_bulkhead: BulkheadLimit | None = None
    place_lease: timedelta | None = None
    wait_limit: timedelta = timedelta(0)
    idempotent: bool = False
    failures: tuple[type[Exception], ...] = ()
    effect: Callable[[ClassifiedError], CircuitEffect] = circuit_effect
    recovery_per_second: float = 50.0

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a guard needs the name of what it guards")
        if self.timeout is not None and self.timeout <= timedelta(0):
            raise ValueError("timeout is greater than 0")
        if self.shared_bulkhead is not None and self.timeout is None and self.place_lease is None:
            raise ValueError("shared_bulkhead needs a timeout or a place_lease: a place is lent for that long")
        if self.place_lease is not None and self.place_lease <= timedelta(0):
            raise ValueError("place_lease is greater than 0")
        if self.wait_limit < timedelta(0) or self.recovery_per_second <= 0:
            raise ValueError("wait_limit is at least 0 and recovery_per_second is positive")

    @property
    def circuit_name(self) -> str:
        return f"{self.name}:{self.operation_class}" if self.operation_class else self.name

    @property
    def limiter_name(self) -> str:
        return f"{self.name}:{self.account}" if self.account else self.name
