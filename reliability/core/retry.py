"""When to try again: waits between attempts, limits of a whole operation, and what other sides ask for."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from reliability.core.catalog import get_definition
from reliability.core.classification import EFFECTFUL_OPERATIONS, ClassifiedError, Operation
from reliability.core.taxonomy import ErrorCategory

RETRY_AFTER_LIMIT = timedelta(seconds=60)

_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter; ``max_attempts`` includes the first one.

    ``time_limit`` bounds the operation from its first attempt: no attempt begins after it.
    ``retryable_codes`` are codes of the catalogue; None leaves the choice to the classification.
    """

    max_attempts: int = 6
    delay_initial: timedelta = timedelta(milliseconds=100)
    delay_max: timedelta = timedelta(seconds=32)
    multiplier: float = 2.0
    time_limit: timedelta | None = None
    retryable_codes: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if self.max_attempts < 1 or self.multiplier < 1:
            raise ValueError("max_attempts and multiplier must be at least 1")
        if not timedelta(0) < self.delay_initial <= self.delay_max:
            raise ValueError("delays must satisfy 0 < delay_initial <= delay_max")
        if self.time_limit is not None and self.time_limit <= timedelta(0):
            raise ValueError("time_limit must be greater than 0")


NO_RETRY = RetryPolicy(max_attempts=1)

_BY_OPERATION = {
    Operation.SUBMIT: RetryPolicy(time_limit=timedelta(seconds=30)),
    Operation.CANCEL: RetryPolicy(delay_max=timedelta(seconds=5), time_limit=timedelta(seconds=30)),
    Operation.MODIFY: RetryPolicy(time_limit=timedelta(seconds=30)),
    Operation.QUERY: RetryPolicy(max_attempts=4, delay_max=timedelta(seconds=5), time_limit=timedelta(seconds=15)),
    Operation.ACCOUNT: RetryPolicy(max_attempts=4, delay_max=timedelta(seconds=5), time_limit=timedelta(seconds=15)),
    Operation.DATA: RetryPolicy(max_attempts=3, delay_max=timedelta(seconds=5), time_limit=timedelta(seconds=15)),
}
_DELAYS_BY_CODE: Mapping[str, tuple[timedelta, timedelta]] = {
    "AUTH_INVALID_CREDENTIALS": (timedelta(seconds=1), timedelta(seconds=10)),
    "AUTH_FORBIDDEN": (timedelta(seconds=1), timedelta(seconds=10)),
    "RATE_LIMIT_EXCEEDED": (timedelta(seconds=1), timedelta(seconds=60)),
    "BROKER_UNAVAILABLE": (timedelta(milliseconds=500), timedelta(seconds=32)),
    "BROKER_SERVER_ERROR": (timedelta(milliseconds=250), timedelta(seconds=32)),
    "NETWORK_DNS_FAILED": (timedelta(seconds=1), timedelta(seconds=32)),
}


def policy_for(code: str, operation: Operation) -> RetryPolicy:
    """Return how failures with ``code`` of ``operation`` are retried.

    A code the catalogue calls final gets one attempt. So does one that leaves open whether an
    operation with an effect was carried out: such an operation is looked up, not repeated.

    Raises:
        UnknownErrorCodeError: ``code`` is not in the catalogue.
    """
    definition = get_definition(code)
    if not definition.retryable or (definition.ambiguous and operation in EFFECTFUL_OPERATIONS):
        return NO_RETRY
    return _waits_for(code, operation)


def lasting_delay(
    code: str,
    operation: Operation,
    failures: int,
    draw: float,
    *,
    retry_after: timedelta | None = None,
    left: timedelta | None = None,
) -> timedelta:
    """Return the wait before the next attempt of work that goes on until its deadline, not for a number of attempts.

    The waits are those of the policy of ``code`` and ``operation``, with full jitter; they grow until the policy's
    attempts are used up and stay there. A wait the other side named is kept in full, with the jitter on top.

    Args:
        code: Of the failure. Whether it may be repeated at all is the caller's to know.
        operation: What failed.
        failures: Failed attempts so far, counted from 1.
        draw: A random number in [0, 1).
        retry_after: The wait the other side named.
        left: The time until the deadline: no wait goes beyond it, so that the end of the work is told in time.
    """
    policy = _waits_for(code, operation)
    delay = backoff_delay(policy, min(failures, policy.max_attempts), draw)
    delay += max(retry_after or timedelta(0), timedelta(0))
    return delay if left is None else min(delay, max(left, timedelta(0)))


def _waits_for(code: str, operation: Operation) -> RetryPolicy:
    """Return the policy of an operation with the waits of a code; only a rate limit makes a cancel wait longer."""
    policy = _BY_OPERATION.get(operation, RetryPolicy())
    if code not in _DELAYS_BY_CODE:
        return policy
    initial, longest = _DELAYS_BY_CODE[code]
    if operation is Operation.CANCEL and not code.startswith("RATE_LIMIT"):
        longest = min(longest, policy.delay_max)
    return replace(policy, delay_initial=initial, delay_max=longest)


def is_retryable(policy: RetryPolicy, error: ClassifiedError, *, idempotent: bool = False) -> bool:
    """Return whether the same call may be made again after ``error`` as far as its effect goes.

    A call whose effect is unknown is never repeated unless ``idempotent`` says that repeating changes nothing.
    """
    if error.ambiguous and not idempotent:
        return False
    if policy.retryable_codes is not None:
        return error.code in policy.retryable_codes
    return error.retryable


def backoff_delay(policy: RetryPolicy, failures: int, draw: float) -> timedelta:
    """Return the wait after the ``failures``-th failure in a row.

    The ceiling is ``delay_initial * multiplier ** (failures - 1)``, at most ``delay_max``;
    the wait is ``draw``'s share of it.

    Args:
        policy: Limits of the call.
        failures: Failed attempts so far, counted from 1.
        draw: A random number in [0, 1).

    Raises:
        ValueError: ``failures`` is below 1 or ``draw`` outside [0, 1).

    Source:
        "Full Jitter" in M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    if failures < 1 or not 0 <= draw < 1:
        raise ValueError("failures starts at 1 and draw is in [0, 1)")
    return timedelta(seconds=_ceiling_seconds(policy, failures) * draw)


def next_delay(
    policy: RetryPolicy, failures: int, elapsed: timedelta, draw: float, retry_after: timedelta | None = None
) -> timedelta | None:
    """Return the wait before the next attempt, or None when there is none: attempts or time are used up.

    A wait the other side named is kept in full, with the jitter on top, so that many callers
    told the same do not come back in the same instant.

    Args:
        policy: Limits of the call.
        failures: Failed attempts so far, counted from 1.
        elapsed: Time since the first attempt began.
        draw: A random number in [0, 1).
        retry_after: The wait the other side named.
    """
    if failures >= policy.max_attempts:
        return None
    delay = backoff_delay(policy, failures, draw) + max(retry_after or timedelta(0), timedelta(0))
    if policy.time_limit is not None and elapsed + delay >= policy.time_limit:
        return None
    return delay


def parse_retry_after(text: str, now: datetime, limit: timedelta = RETRY_AFTER_LIMIT) -> timedelta | None:
    """Return the wait a ``Retry-After`` header names, in [0, ``limit``], or None when it names none.

    Both forms are read: seconds (a fraction is let pass) and an HTTP date, which counts from ``now`` (aware).

    Source:
        RFC 9110, section 10.2.3.
    """
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return min(timedelta(seconds=float(text)), limit)
    try:
        moment = parsedate_to_datetime(text)
        wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):
        return None
    return min(max(wait, timedelta(0)), limit)


def pace_delay(
    cooldown: timedelta,
    position: float,
    per_second: float,
    draw: float,
    spread_max: timedelta = timedelta(seconds=60),
) -> timedelta:
    """Return when one of many waiting jobs comes back, so that they do not all come at once.

    After ``cooldown`` the jobs at positions 0, 1, 2 ... come one to a slot of ``1 / per_second``,
    each at a drawn moment of its slot: at most ``per_second * window + 2`` of them in any window.
    A job that only knows how many wait passes a drawn share of their number as its position. What
    would lie beyond ``spread_max`` comes within it, drawn over the whole of it: those look again there.

    Raises:
        ValueError: ``per_second`` is not positive, ``position`` is negative, or ``draw`` outside [0, 1).
    """
    if per_second <= 0 or position < 0 or not 0 <= draw < 1:
        raise ValueError("per_second is positive, position is not negative and draw is in [0, 1)")
    spread = (position + draw) / per_second
    longest = spread_max.total_seconds()
    return cooldown + timedelta(seconds=spread if spread <= longest else draw * longest)


class Pacer:
    """Gives waiting work of one process its moments to come back: one to a slot, in the order of asking.

    ``per_second`` is the pace of all processes together. Not safe in threads in the strict sense: two
    callers at the same instant may get the same slot, each a drawn moment of it.
    """

    def __init__(self, per_second: float, spread_max: timedelta = timedelta(seconds=60)) -> None:
        if per_second <= 0:
            raise ValueError("per_second is positive")
        self._per_second = per_second
        self._spread_max = spread_max
        self._next_free = -math.inf

    def delay(self, now: float, cooldown: timedelta, draw: float, processes: int = 1) -> timedelta:
        """Return the wait from ``now`` (seconds of any clock that does not go back), at least ``cooldown``.

        Whoever asks for a slot further away than the longest spread looks again within it.
        """
        pace = self._per_second / processes
        ready = now + cooldown.total_seconds()
        position = max(0.0, self._next_free - ready) * pace
        if position / pace < self._spread_max.total_seconds():
            self._next_free = max(self._next_free, ready) + 1 / pace
        return pace_delay(cooldown, position, pace, draw, self._spread_max)


def retry_cost(error: ClassifiedError) -> int:
    """Return what one retry takes from a budget: a timeout held the other side's resources, so it counts twice."""
    return 2 if error.category is ErrorCategory.TIMEOUT else 1


def _ceiling_seconds(policy: RetryPolicy, failures: int) -> float:
    exponent = min(failures - 1, 64)
    return min(policy.delay_initial.total_seconds() * policy.multiplier**exponent, policy.delay_max.total_seconds())
