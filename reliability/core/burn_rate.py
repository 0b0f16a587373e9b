"""Error budgets: how much of what may fail has failed, and how fast the rest goes.

Several windows and burn rates as in the Google SRE workbook, chapter "Alerting on SLOs": a long window for the share of
the budget that is gone, a short one of a twelfth so that the alert ends soon after the trouble does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from reliability.core.taxonomy import ErrorSeverity


@dataclass(frozen=True, slots=True)
class Floor:
    """Below so many calls and failures in a window a ratio says nothing: one failure of three is no burning budget."""

    calls: float = 100
    bad: float = 5

    def is_met(self, counts: "Counts") -> bool:
        return counts.all >= self.calls and counts.bad >= self.bad


USUAL_FLOOR = Floor()


@dataclass(frozen=True, slots=True)
class Counts:
    """What happened in a window: calls or slices of time that were good, and those that were bad."""

    good: int
    bad: int

    @property
    def all(self) -> int:
        return self.good + self.bad

    @property
    def bad_ratio(self) -> float:
        """Share of bad ones, 0 when there was nothing."""
        return self.bad / self.all if self.all else 0.0


@dataclass(frozen=True, slots=True)
class Objective:
    """What is promised over ``period``: at least ``target`` of all are good.

    Raises:
        ValueError: the target is not between 0 and 1, or the period is not positive.
    """

    target: float
    period: timedelta = timedelta(days=30)

    def __post_init__(self) -> None:
        if not 0 < self.target < 1:
            raise ValueError("a target is a share above 0 and below 1")
        if self.period <= timedelta(0):
            raise ValueError("a period is positive")

    @property
    def budget(self) -> float:
        """Share of all that may be bad."""
        return 1 - self.target

    def burn(self, counts: Counts) -> float:
        """Return how many times faster than allowed the budget went: at 1 it lasts exactly the period."""
        return counts.bad_ratio / self.budget

    def budget_left(self, counts: Counts) -> float:
        """Return the share of the budget that is left after ``counts`` of a whole period; below 0 it was broken."""
        return 1 - self.burn(counts)


@dataclass(frozen=True, slots=True)
class BurnWindow:
    """A pair of windows: both burning faster than ``factor`` is worth a person's attention."""

    long: timedelta
    short: timedelta
    factor: float
    severity: ErrorSeverity


BURN_WINDOWS = (
    BurnWindow(timedelta(hours=1), timedelta(minutes=5), 14.4, ErrorSeverity.CRITICAL),
    BurnWindow(timedelta(hours=6), timedelta(minutes=30), 6.0, ErrorSeverity.HIGH),
    BurnWindow(timedelta(days=3), timedelta(hours=6), 1.0, ErrorSeverity.MEDIUM),
)
"""2, 5 and 10 percent of a budget of 30 days."""


@dataclass(frozen=True, slots=True)
class Burning:
    """A budget that goes too fast: by which pair of windows, and how fast in each."""

    window: BurnWindow
    long_burn: float
    short_burn: float
    counts: Counts


def find_burning(
    objective: Objective,
    counts_in: Callable[[timedelta], Counts],
    windows: Sequence[BurnWindow] = BURN_WINDOWS,
    floor: Floor = USUAL_FLOOR,
) -> Burning | None:
    """Return the worst pair of windows in which the budget burns too fast, or None.

    The long window must hold enough to be judged; the short one may be empty of calls, and then nothing burns.
    """
    for window in windows:
        counts = counts_in(window.long)
        if not floor.is_met(counts):
            continue
        long_burn, short_burn = objective.burn(counts), objective.burn(counts_in(window.short))
        if min(long_burn, short_burn) >= window.factor:
            return Burning(window, long_burn, short_burn, counts)
    return None


def is_failing_often(counts: Counts, limit: float, floor: Floor = USUAL_FLOOR) -> bool:
    """Return whether a window holds enough to be judged and more than ``limit`` of it is bad."""
    return floor.is_met(counts) and counts.bad_ratio > limit
