"""Run and call what may fail, and tell people; these names load what they need when they are first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reliability.core.fallback import Answer, CachedAnswer, OtherFunction, QueueForLater
    from reliability.core.retry import RetryPolicy
    from reliability.services.guarding.deadlines import deadline_in, remaining_seconds
    from reliability.services.guarding.decorator import guard
    from reliability.services.guarding.guard import Guard
    from reliability.services.guarding.policy import GuardPolicy

_HOMES = {
    "Answer": "reliability.core.fallback",
    "CachedAnswer": "reliability.core.fallback",
    "Guard": "reliability.services.guarding.guard",
    "GuardPolicy": "reliability.services.guarding.policy",
    "OtherFunction": "reliability.core.fallback",
    "QueueForLater": "reliability.core.fallback",
    "RetryPolicy": "reliability.core.retry",
    "deadline_in": "reliability.services.guarding.deadlines",
    "guard": "reliability.services.guarding.decorator",
    "remaining_seconds": "reliability.services.guarding.deadlines",
}

__all__ = [
    "Answer",
    "CachedAnswer",
    "Guard",
    "GuardPolicy",
    "OtherFunction",
    "QueueForLater",
    "RetryPolicy",
    "deadline_in",
    "guard",
    "remaining_seconds",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
