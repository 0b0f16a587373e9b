"""One record per guarded call, for whoever wants to count, log or trace it."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from reliability.core.classification import ClassifiedError
from reliability.core.fallback import AnswerSource

logger = logging.getLogger(__name__)


class CallResult(StrEnum):
    """How a guarded call ended: ``REFUSED`` was not begun, ``CANCELED`` was given up by its own caller."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """What came of one call, over all its attempts.

    ``code`` is of the error catalogue, empty for a success. ``stopped_by`` is the code of what ended the
    attempts when a further one would have been right: the spent budget or the time. ``duration_seconds``
    covers attempts and waits. ``answered_from`` is set when a fallback answered instead.
    """

    dependency: str
    circuit: str
    operation: str
    result: CallResult
    code: str
    attempts: int
    duration_seconds: float
    correlation_id: str
    error: ClassifiedError | None = None
    stopped_by: str = ""
    answered_from: AnswerSource | None = None


Hook = Callable[[CallOutcome], None]

_every: tuple[Hook, ...] = ()
_troubles: tuple[Hook, ...] = ()
_lock = threading.Lock()


def on_outcome(hook: Hook) -> None:
    """Call ``hook`` with the record of every call from now on. It must be quick; what it raises is logged."""
    global _every
    with _lock:
        _every = (*_every, hook)


def on_trouble(hook: Hook) -> None:
    """Call ``hook`` with the record of every call that did not succeed; successes stay free of any cost."""
    global _troubles
    with _lock:
        _troubles = (*_troubles, hook)


def remove_hook(hook: Hook) -> None:
    """Stop calling ``hook``."""
    global _every, _troubles
    with _lock:
        _every = tuple(known for known in _every if known != hook)
        _troubles = tuple(known for known in _troubles if known != hook)


def wants_successes() -> bool:
    """Return whether anybody wants the records of calls that succeeded."""
    return bool(_every)


def record(outcome: CallOutcome) -> None:
    """Hand ``outcome`` to every hook that wants it; none of them can break the call."""
    hooks = _every if outcome.result is CallResult.SUCCEEDED else (*_every, *_troubles)
    for hook in hooks:
        try:
            hook(outcome)
        except Exception:  # a hook is somebody else's code, and the call is over
            logger.exception("a hook for call outcomes failed", extra={"dependency": outcome.dependency})


def log_trouble(outcome: CallOutcome) -> None:
    """Write one line about a call that did not succeed; at debug level if it was not begun: those come in floods."""
    level = logging.WARNING if outcome.result is CallResult.FAILED else logging.DEBUG
    if not logger.isEnabledFor(level):
        return
    logger.log(
        level,
        "call %s",
        outcome.result.value,
        extra={
            "dependency": outcome.dependency,
            "circuit": outcome.circuit,
            "operation": outcome.operation,
            "code": outcome.code,
            "attempts": outcome.attempts,
            "duration_ms": round(outcome.duration_seconds * 1000, 1),
            "correlation_id": outcome.correlation_id,
            "stopped_by": outcome.stopped_by,
            "answered_from": outcome.answered_from.value if outcome.answered_from else "",
        },
    )


on_trouble(log_trouble)
