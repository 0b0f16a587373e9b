"""Kinds of jobs: what each does, in three parts, and the registry of them."""

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from reliability.core.jobs import ClaimedJob, Dead, Disposition, Done, JobError, Performed, Retry, Snooze, Wait
from reliability.core.retry import RetryPolicy

Prepared = Any | Disposition


@dataclass(frozen=True, slots=True)
class ExpressClaim:
    """Claimed jobs with their requests, and whether jobs are due that only the general way can claim."""

    begun: Sequence[tuple[ClaimedJob, Any]]
    others_are_due: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A claimed job and the request its kind made for it."""

    job: ClaimedJob
    kind: "JobKind"
    request: Any


class JobKind:
    """One kind of job. Subclass it, set the names, write the three parts, and register it.

    ``prepare`` runs inside the claiming transaction and returns, per job id, either a plain
    request for ``perform`` or a disposition when no call is needed. ``perform`` is a
    coroutine that touches the network only. ``apply`` runs inside the finishing
    transaction, writes rows and says what becomes of each job; ``apply_late`` gets the
    outcomes of attempts whose fence has moved, so that no answer is ever dropped.

    Outcomes of a batch are applied in one transaction, unless ``applied_together`` is False:
    then each has its own, which a kind needs that locks many rows for one outcome.
    """

    name: ClassVar[str]
    lane: ClassVar[str]
    retry: ClassVar[RetryPolicy] = RetryPolicy()
    timeout: ClassVar[timedelta] = timedelta(seconds=8)
    lease: ClassVar[timedelta | None] = None
    applied_together: ClassVar[bool] = True

    def room(self, under_way: Sequence[Call]) -> int:
        """Return how many jobs of this kind can begin in this process now; asked before every claim, so it is quick.

        What is claimed beyond it has to go back and wait its turn, which costs more than not claiming it.
        ``under_way`` are the calls of the lane that this process has claimed and not yet recorded.
        """
        return sys.maxsize

    def claim_express(self, lane: str, worker: int, limit: int) -> ExpressClaim | None:
        """Claim in one statement what needs no decision and return it with its requests; None: there is no such way."""
        return None

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        raise NotImplementedError

    async def perform(self, request: Any) -> Any:
        raise NotImplementedError

    def apply_express(self, outcomes: Sequence[Performed]) -> Collection[tuple[int, int]]:
        """Write in one statement what needs no decision, jobs included; returns the claims that are done with."""
        return ()

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        raise NotImplementedError

    def apply_late(self, outcomes: Sequence[Performed]) -> None:
        """Keep what late answers say. The attempt itself is recorded by the caller."""

    def discard(self, job: ClaimedJob, actor: str, reason: str) -> None:
        """Write what it means that a person gave this job up."""


class UnknownKindError(LookupError):
    """No kind of that name is registered in this process."""


_KINDS: dict[str, JobKind] = {}


def register(kind: JobKind) -> None:
    _KINDS[kind.name] = kind


def get_kind(name: str) -> JobKind:
    try:
        return _KINDS[name]
    except KeyError:
        raise UnknownKindError(f"no job kind called {name!r}") from None


def list_kinds() -> list[JobKind]:
    return list(_KINDS.values())


def kinds_of(lane: str) -> list[JobKind]:
    return [kind for kind in _KINDS.values() if kind.lane == lane]


def lane_room(lane: str, under_way: Sequence[Call]) -> int:
    """Return how many jobs of a lane can begin in this process now, whatever their kind."""
    return min((kind.room(under_way) for kind in kinds_of(lane)), default=sys.maxsize)


__all__ = [
    "Call",
    "ClaimedJob",
    "Dead",
    "Done",
    "ExpressClaim",
    "JobError",
    "JobKind",
    "Performed",
    "Prepared",
    "Retry",
    "Snooze",
    "UnknownKindError",
    "Wait",
    "get_kind",
    "kinds_of",
    "lane_room",
    "list_kinds",
    "register",
]
