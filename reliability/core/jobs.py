"""What a job is, without a database: states, attempts, and what may become of one."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from reliability.core.text import storable

URGENT_PRIORITY = 20
"""Of a job that may be half done, because its process died or nobody knows its outcome: ahead of what was not begun."""


class JobState(StrEnum):
    READY = "ready"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Under what suspicion a job is whose process died ``least`` to ``most`` times while it was in hand.

    All that such a process had in hand is suspected, mostly wrongly: so suspects run apart from others, ``together`` at
    once, fewer with each death, and the one that kills ends alone.
    """

    least: int
    most: int
    together: int


SUSPICIONS = (Suspicion(2, 2, together=16), Suspicion(3, 3, together=4), Suspicion(4, 1_000, together=1))


def suspicion_of(crashes: int) -> Suspicion | None:
    """Return under what suspicion a job is after so many deaths; None below two: anybody may be unlucky."""
    return next((one for one in SUSPICIONS if one.least <= crashes <= one.most), None)


class AttemptOutcome(StrEnum):
    """Why an attempt has a row: a success needs none."""

    FAILED = "failed"
    SNOOZED = "snoozed"
    LOST = "lost"
    LATE = "late"
    DEAD = "dead"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """One job in the hands of one worker; ``fence`` grows with every claim.

    ``claimed_monotonic`` is the worker's monotonic clock just before the claim, so that a
    worker that was frozen can tell that its lease is over before it touches the network.
    ``is_overdue`` tells whether the job's deadline had passed when it was claimed.
    """

    id: int
    kind: str
    lane: str
    subject: UUID | None
    payload: dict[str, Any]
    attempt: int
    max_attempts: int
    crashes: int
    snoozes: int
    fence: int
    correlation_id: str
    is_overdue: bool
    claimed_monotonic: float
    lease_seconds: float

    @property
    def log_facts(self) -> dict[str, object]:
        """What a log line says of the job it is about."""
        subject = None if self.subject is None else str(self.subject)
        return {"job": self.id, "job_kind": self.kind, "lane": self.lane, "attempt": self.attempt, "subject": subject}

    @property
    def claim(self) -> tuple[int, int]:
        """What tells this claim of the job from every other one."""
        return self.id, self.fence


@dataclass(frozen=True, slots=True)
class JobError:
    """Why an attempt did not succeed; ``code`` is of the error catalogue."""

    code: str
    message: str
    detail: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", storable(self.message))
        object.__setattr__(self, "detail", storable(self.detail))


@dataclass(frozen=True, slots=True)
class Done:
    """The job is finished."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The attempt failed; try again after the policy's delay, or die when attempts are used up."""

    error: JobError


@dataclass(frozen=True, slots=True)
class Snooze:
    """Not now: run again after ``delay`` without spending an attempt.

    ``priority`` is the job's from then on, lower ones are claimed first; None leaves it as it is. ``is_sound``: all
    that the job does was done and killed nobody, so the deaths of its processes before were not its doing.
    """

    delay: timedelta
    error: JobError | None = None
    priority: int | None = None
    is_sound: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """What the job needs is closed or full: it was not begun, and looks again after ``delay``.

    No attempt is spent and none recorded, for ten thousand jobs may wait for one broker.
    ``circuit`` names the circuit it waits for, so that it is called back when that lets calls through.
    """

    delay: timedelta
    error: JobError
    circuit: str = ""


@dataclass(frozen=True, slots=True)
class Dead:
    """No attempt can help; a person decides."""

    error: JobError


Disposition = Done | Retry | Snooze | Wait | Dead


class NotStartedError(Exception):
    """The call of a claimed job was not begun: the worker is stopping, or its lease ran out first."""


class JobTimeoutError(Exception):
    """The call of a job took longer than its kind allows."""


@dataclass(frozen=True, slots=True)
class Performed:
    """What came of one attempt: a result, or the exception that ended it."""

    job: ClaimedJob
    request: Any
    result: Any = None
    error: BaseException | None = None
