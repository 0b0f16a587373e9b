"""When a fallback may answer instead of a failed call."""

from typing import Any

from reliability.core.fallback import Answer, FailedCall, Fallback
from reliability.core.taxonomy import ErrorCategory
from reliability.services.guarding.attempt import Attempt
from reliability.services.guarding.outcomes import CallResult
from reliability.services.guarding.policy import CircuitEffect, GuardPolicy


def fall_back(
    policy: GuardPolicy,
    fallback: Fallback | None,
    attempt: Attempt,
    error: Exception,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    now: float,
) -> Answer[Any]:
    """Return the fallback's answer; raises ``error`` itself where a fallback has no business."""
    if fallback is None or not _may_stand_in(policy, attempt, error):
        raise error
    return fallback.answer(FailedCall(policy.name, args, kwargs, error, now))


def _may_stand_in(policy: GuardPolicy, attempt: Attempt, error: Exception) -> bool:
    """Only a dependency that gave no answer is stood in for, and only when nothing can have happened."""
    ending = attempt.ending
    if ending is None or ending.result is CallResult.REFUSED:
        return ending is not None
    classified = ending.error
    if classified is None:
        return True  # a guard inside the call refused
    if classified.ambiguous and not policy.idempotent:
        return False
    is_broken = isinstance(error, policy.failures) or policy.effect(classified) is CircuitEffect.FAILURE
    return is_broken or classified.category in (ErrorCategory.RATE_LIMIT, ErrorCategory.AUTHENTICATION)
