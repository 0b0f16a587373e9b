"""What a failed attempt means: for the circuit, for everybody's pace, and for a further attempt."""

from datetime import timedelta
from functools import partial

from reliability.core.classification import ClassifiedError
from reliability.core.retry import is_retryable, next_delay, retry_cost
from reliability.core.taxonomy import ErrorCategory
from reliability.services.circuits import CircuitOpenError
from reliability.services.guarding.attempt import Attempt, Ending, Judgement
from reliability.services.guarding.errors import CallRefusedError
from reliability.services.guarding.outcomes import CallResult
from reliability.services.guarding.parts import Classify
from reliability.services.guarding.policy import CircuitEffect, GuardPolicy

REFUSALS = (CallRefusedError, CircuitOpenError)
# A guarded function with a mistake in it says nothing about what it calls.
_OWN_FAULTS = (TypeError, AttributeError, NameError, AssertionError, ImportError, NotImplementedError, MemoryError)
_UNNAMED_WAIT_SECONDS = 30.0
_UNNAMED_PAUSE_SECONDS = 1.0
PAUSE_LIMIT_SECONDS = 900.0


_SAYS_NOTHING = Judgement(CircuitEffect.NONE)


def judge(
    policy: GuardPolicy, classify: Classify, attempt: Attempt, error: BaseException, now: float, draw: float
) -> Judgement:
    """Return what ``error`` means, and note in ``attempt`` how it ended so far.

    An exception with a method ``classified(source, operation)`` says by itself what it is.
    """
    if not isinstance(error, Exception):
        attempt.ending = Ending(CallResult.CANCELED)
        return _SAYS_NOTHING
    if isinstance(error, REFUSALS):  # of a guard inside this call, about another dependency
        attempt.ending = Ending(CallResult.FAILED, str(error.code))
        return _SAYS_NOTHING
    own = getattr(error, "classified", None)  # an adapter's error knows best what it proves
    classified: ClassifiedError = (own or partial(classify, error))(policy.source, policy.operation)
    attempt.ending = Ending(CallResult.FAILED, classified.code, classified)
    is_declared = isinstance(error, policy.failures)
    if is_declared:
        effect = CircuitEffect.FAILURE
    else:
        effect = CircuitEffect.NONE if isinstance(error, _OWN_FAULTS) else policy.effect(classified)
    pause = pause_seconds(classified)
    may_repeat = _may_repeat(policy, classified, is_declared)
    delay = _next_delay(policy, attempt, classified, now, draw) if may_repeat else None
    return Judgement(effect, pause, delay, retry_cost(classified))


def pause_seconds(error: ClassifiedError) -> float:
    """Return how long nobody should call the account after ``error``: more than 0 only for its rate limit.

    A named wait is kept up to a quarter of an hour; then one call asks whether it still holds.
    """
    if error.category is not ErrorCategory.RATE_LIMIT:
        return 0.0
    if error.retry_after_seconds is None:
        return _UNNAMED_PAUSE_SECONDS
    return min(error.retry_after_seconds, PAUSE_LIMIT_SECONDS)


def refusal_seconds(refusal: Exception) -> float:
    """Return how long asking again is pointless after a call was refused."""
    if isinstance(refusal, CallRefusedError):
        return refusal.wait_seconds
    seconds = getattr(refusal, "remaining_seconds", None)
    return _UNNAMED_WAIT_SECONDS if seconds is None else float(seconds)


def _may_repeat(policy: GuardPolicy, error: ClassifiedError, is_declared: bool) -> bool:
    """Return whether the same call may be made again; a declared failure is one that passes."""
    if policy.retry.max_attempts == 1:
        return False
    if is_declared:
        return policy.idempotent or not error.ambiguous
    return is_retryable(policy.retry, error, idempotent=policy.idempotent)


def _next_delay(policy: GuardPolicy, attempt: Attempt, error: ClassifiedError, now: float, draw: float) -> float | None:
    named = max(error.retry_after_seconds or 0.0, pause_seconds(error))
    elapsed = timedelta(seconds=now - attempt.started_at)
    delay = next_delay(policy.retry, attempt.attempts, elapsed, draw, timedelta(seconds=named))
    if delay is None:
        return None
    if now + delay.total_seconds() >= attempt.deadline:
        assert attempt.ending is not None
        attempt.ending.stopped_by = "TIMEOUT_DEADLINE_PASSED"
        return None
    return delay.total_seconds()
