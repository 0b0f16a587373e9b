"""What works and what does not while something we depend on fails: plain values and the judgement."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Health(StrEnum):
    """How something is: as it should be, with less than usual, or not at all."""

    NORMAL = "normal"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class DeclaredOperation:
    """An operation that callers know, and what becomes of it while its dependency does not work.

    ``dependency_kind``: the class of circuits it needs (``orders`` of ``sim-a:orders``), or ``redis``,
    ``workers``. ``fallback``: what happens instead, for a person. ``still_works``: callers may go on asking
    for it, served by the fallback; otherwise it is refused.
    """

    operation: str
    dependency_kind: str
    fallback: str
    still_works: bool = True


@dataclass(frozen=True, slots=True)
class OperationHealth:
    """One operation at one dependency, since ``since`` (None: not known, or as it should be)."""

    operation: str
    dependency: str
    health: Health
    works: bool
    fallback: str
    since: datetime | None = None


def judge(declared: DeclaredOperation, dependency: str, *, is_failing: bool, since: datetime | None) -> OperationHealth:
    """Return how an operation is while its dependency fails or not."""
    if not is_failing:
        return OperationHealth(declared.operation, dependency, Health.NORMAL, works=True, fallback="")
    health = Health.DEGRADED if declared.still_works else Health.DOWN
    return OperationHealth(declared.operation, dependency, health, declared.still_works, declared.fallback, since)


def overall(healths: Iterable[Health], *, can_act: bool) -> Health:
    """Return the health of everything: down when nothing can be carried out, degraded when anything is not normal.

    One dependency that is down leaves the others working, so it is a degradation of the whole.
    """
    if not can_act:
        return Health.DOWN
    return Health.NORMAL if all(health is Health.NORMAL for health in healths) else Health.DEGRADED


def since_of(moments: Iterable[datetime | None]) -> datetime | None:
    """Return the earliest known moment."""
    return min((moment for moment in moments if moment is not None), default=None)
