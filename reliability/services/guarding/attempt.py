"""One call on its way through a guard: what it holds, how often it was tried, and how it ended."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reliability.core.classification import ClassifiedError
from reliability.services.guarding.deadlines import current_deadline
from reliability.services.guarding.outcomes import CallResult
from reliability.services.guarding.policy import CircuitEffect


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a failed attempt means.

    ``pause_seconds`` is for every caller of the account; ``delay_seconds`` None means no further attempt.
    ``cost`` is what a further attempt takes from the retry budget.
    """

    effect: CircuitEffect
    pause_seconds: float = 0.0
    delay_seconds: float | None = None
    cost: int = 1


@dataclass(slots=True)
class Ending:
    """How a call that did not succeed ended so far."""

    result: CallResult
    code: str = ""
    error: ClassifiedError | None = None
    stopped_by: str = ""


class Attempt:
    """What one call holds while it is under way; ``ending`` is None while nothing went wrong.

    ``deadline`` is the instant by which everything must be over, as it was when the call began.
    ``judgement`` is what the last failed attempt meant.
    """

    __slots__ = (
        "attempts",
        "deadline",
        "ending",
        "entered_at",
        "has_room",
        "judgement",
        "permit",
        "place",
        "started_at",
    )

    def __init__(self, clock: Callable[[], float]) -> None:
        self.attempts = 0
        self.started_at = self.entered_at = clock()
        self.deadline = current_deadline.get()
        self.permit: Any = None
        self.has_room = False
        self.place: str | None = None
        self.ending: Ending | None = None
        self.judgement: Judgement | None = None
