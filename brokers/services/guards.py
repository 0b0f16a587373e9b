"""What stands in front of every call to a broker: one guard per account and class of operations.

Circuits and bulkheads are the broker's, rate limits the account's. Jobs ask before they begin
(``waiting``, ``OrderGate``), so that work which cannot go anyway waits in its row and spends nothing.
"""

import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import ParamSpec, TypeVar

from brokers.adapters.errors import BrokerCallError
from brokers.adapters.failure_rules import live_source
from brokers.services.accounts import AccountProfile, Limits
from reliability.core.breaker import BreakerState
from reliability.core.budget import BudgetPolicy
from reliability.core.bulkhead import BulkheadLimit
from reliability.core.classification import Operation
from reliability.core.correlation import correlated, correlation_or_new, current_correlation_id
from reliability.core.jobs import JobError, Wait
from reliability.core.rate_limit import Priority, RateLimit
from reliability.core.retry import Pacer
from reliability.core.taxonomy import FailureKind
from reliability.services.circuits import CircuitOpenError, get_circuit
from reliability.services.guarding.errors import CallRefusedError
from reliability.services.guarding.guard import Guard
from reliability.services.guarding.judging import refusal_seconds
from reliability.services.guarding.policy import GuardPolicy
from reliability.services.limits.registry import get_budget

RECOVERY_PER_SECOND = 500.0
RETRIES = BudgetPolicy(floor_per_second=10.0)
RESERVE = BudgetPolicy(deposit=0.0, floor_per_second=1.0)
"""What each account may repeat besides, whatever the others do."""
RETRY_COST = 1
_KEPT_FROM = {Priority.CRITICAL: 0.0, Priority.HIGH: 0.1, Priority.NORMAL: 0.5}
PROBES = 3
_LEAST_WAIT_SECONDS = 0.1
_WAIT_FOR_PLACE = timedelta(seconds=1)
_SHORT_SECONDS = 1.0
_MOVING_SECONDS = 0.25
_REFUSED_HERE = frozenset(
    {"SYSTEM_CIRCUIT_OPEN", "SYSTEM_BULKHEAD_FULL", "RATE_LIMIT_LOCAL", "TIMEOUT_DEADLINE_PASSED"}
)

_last_end: dict[str, float] = {}  # of a call to each broker, on the monotonic clock

_P = ParamSpec("_P")
_R = TypeVar("_R")


class CallClass(StrEnum):
    """The operations of a broker that fail together, each class with a circuit of its own.

    ``ORDERS`` submits and replaces, ``CANCELS`` takes risk away and must not stop with the orders,
    ``LOOK_UPS`` settle orders whose outcome is unknown, ``READS`` are snapshots, ``DATA`` is the rest.
    """

    ORDERS = "orders"
    CANCELS = "cancels"
    LOOK_UPS = "look_ups"
    READS = "reads"
    DATA = "data"


_OPERATIONS = {
    CallClass.ORDERS: Operation.SUBMIT,
    CallClass.CANCELS: Operation.CANCEL,
    CallClass.LOOK_UPS: Operation.QUERY,
    CallClass.READS: Operation.QUERY,
    CallClass.DATA: Operation.DATA,
}
_CALLS_IN_A_ROW = {CallClass.READS: 12, CallClass.DATA: 12}  # a list may have many pages, each a call of its own
_PRIORITIES = {
    CallClass.CANCELS: Priority.CRITICAL,
    CallClass.LOOK_UPS: Priority.CRITICAL,
    CallClass.ORDERS: Priority.HIGH,
}


_SENDING, _ASKING = "sending", "asking"
_GROUPS = {CallClass.ORDERS: _SENDING, CallClass.CANCELS: _SENDING, CallClass.LOOK_UPS: _ASKING}
_FEWEST_DIVIDED = 4


@dataclass(frozen=True, slots=True)
class BrokerGuard:
    """The guard of one account's calls of one class."""

    guard: Guard
    turns: Pacer

    async def call(self, function: Callable[_P, Awaitable[_R]], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Make one call.

        One that was not begun raises ``BrokerCallError`` like one that failed without effect, with
        the circuit's name as its raw code.
        """
        if not current_correlation_id():
            with correlated(correlation_or_new()):
                return await self.call(function, *args, **kwargs)
        policy = self.guard.policy
        get_budget(policy.name, policy.budget).deposit()
        try:
            return await self.guard.call_async(function, *args, **kwargs)
        except (CallRefusedError, CircuitOpenError) as refusal:
            wait = self.pace(refusal_seconds(refusal)).total_seconds()
            error = BrokerCallError(FailureKind.TRANSIENT, refusal.code, str(refusal), self.circuit, wait)
        finally:
            _last_end[policy.name] = time.monotonic()
        raise error

    @property
    def circuit(self) -> str:
        return self.guard.policy.circuit_name

    def wait_seconds(self) -> float:
        """Return about how long a call would be refused from now, 0 when it may be tried."""
        return self.guard.wait_seconds()

    def room(self) -> int:
        """Return how many calls may be begun now: few while the circuit is half open, else the places left."""
        policy = self.guard.policy
        if get_circuit(policy.circuit_name).state is BreakerState.HALF_OPEN:
            return PROBES
        return self.guard.room()

    def places(self) -> int:
        """Return how many places for calls are left in this process, whatever the circuit says."""
        return self.guard.room()

    @property
    def all_places(self) -> int:
        """How many calls this process may have under way at the broker."""
        policy = self.guard.policy
        return sys.maxsize if policy.bulkhead is None else policy.bulkhead.places(policy.priority, policy.group)

    def hangs_since(self, instant: float) -> bool:
        """Return whether no call to the broker has ended here for a while, though one began at ``instant``."""
        last = max(instant, _last_end.get(self.guard.policy.name, instant))
        return time.monotonic() - last > _MOVING_SECONDS

    def may_retry(self) -> bool:
        """Take one retry from the broker's budget, else from the account's own reserve; False when both are spent.

        So an account whose calls fail cannot use up what another one needs. Less urgent calls leave a part of
        both for cancels and look-ups.
        """
        policy = self.guard.policy
        keep = _KEPT_FROM[policy.priority]
        if get_budget(policy.name, policy.budget).try_spend(RETRY_COST, keep):
            return True
        return get_budget(f"{policy.name}:{policy.account}", RESERVE).try_spend(RETRY_COST, keep)

    def pace(self, seconds: float) -> timedelta:
        """Return when work that waits at least ``seconds`` comes back, each piece in its turn.

        Short waits are for a place, a probe or a retry; they take turns of their own, because the turns
        after a cooldown are worth nothing any more once a circuit has closed early.
        """
        if seconds >= _SHORT_SECONDS:
            return self.guard.pace(seconds)
        least = timedelta(seconds=max(_LEAST_WAIT_SECONDS, seconds))
        draw = random.random()  # noqa: S311  # jitter
        return self.turns.delay(time.monotonic(), least, draw, self.guard.parts.processes)


def circuit_name(broker: str, call_class: CallClass) -> str:
    """Return the name of the circuit that guards a class of calls to a broker."""
    return f"{broker}:{call_class.value}"


def get_guard(profile: AccountProfile, call_class: CallClass, operation: Operation | None = None) -> BrokerGuard:
    """Return the guard of an account's calls of a class; ``operation`` where it is not the one of its class."""
    operation = operation or _OPERATIONS[call_class]
    source = live_source(profile.adapter.name)
    return _make_guard(profile.broker, profile.name, call_class, profile.limits, source, operation)


@lru_cache(maxsize=4096)
def _make_guard(
    broker: str, account: str, call_class: CallClass, limits: Limits, source: str, operation: Operation
) -> BrokerGuard:
    policy = GuardPolicy(
        name=broker,
        operation=operation,
        operation_class=call_class.value,
        account=account,
        source=source,
        priority=_PRIORITIES.get(call_class, Priority.NORMAL),
        rate_limit=RateLimit(limits.calls_per_minute, 60.0) if limits.calls_per_minute else None,
        budget=RETRIES,
        group=_GROUPS.get(call_class, ""),
        bulkhead=_places(limits.max_concurrent_calls),
        shared_bulkhead=_places(limits.max_calls_overall) if limits.max_calls_overall else None,
        place_lease=timedelta(seconds=limits.call_seconds * _CALLS_IN_A_ROW.get(call_class, 1)),
        wait_limit=timedelta(0) if call_class in _PRIORITIES or not limits.max_calls_overall else _WAIT_FOR_PLACE,
        recovery_per_second=RECOVERY_PER_SECOND,
    )
    return BrokerGuard(Guard(policy), Pacer(policy.recovery_per_second))


def _places(concurrent: int) -> BulkheadLimit:
    """Return the places for calls to a broker: a fifth is kept for orders and cancels, a tenth for look-ups.

    So neither a flood of orders keeps unknown ones from being looked up, nor a flood of look-ups new orders from
    being sent. Fewer than four places are not divided.
    """
    if concurrent < _FEWEST_DIVIDED:
        return BulkheadLimit(concurrent)
    sending, asking = max(1, concurrent // 5), max(1, concurrent // 10)
    return BulkheadLimit(concurrent, kept=((_SENDING, sending), (_ASKING, asking)))


def waiting(profile: AccountProfile, call_class: CallClass) -> Wait | None:
    """Return the wait of a job whose call would be refused now, or None when it may be tried."""
    guard = get_guard(profile, call_class)
    seconds = guard.wait_seconds()
    if seconds <= 0:
        return None
    what = call_class.value.replace("_", "-")
    error = JobError("BROKER_ACCOUNT_UNAVAILABLE", f"{profile.broker} takes no {what} now.")
    return Wait(guard.pace(seconds), error, guard.circuit)


def refused_here(error: BaseException | None) -> Wait | None:
    """Return the wait of a job whose call our own side did not let begin, or None for any other outcome."""
    if not isinstance(error, BrokerCallError) or error.code not in _REFUSED_HERE:
        return None
    delay = timedelta(seconds=error.retry_after_seconds or _LEAST_WAIT_SECONDS)
    return Wait(delay, JobError(error.code, error.message), error.raw_code)
