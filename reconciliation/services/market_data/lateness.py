"""How far behind a series is, by the bars that its calendar expects: outside trading hours nothing is late."""

from dataclasses import dataclass
from datetime import datetime

from reconciliation.core.gaps import GapPolicy
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import BarSeries
from reconciliation.services.market_data.calendars import grid_around, last_due_stamp
from reconciliation.services.market_data.gap_watch import GRACE

_STALE_SLOTS = 2
_QUIET_SLOTS = 15  # a symbol that trades rarely may be silent for this many bars, until more is known of it


@dataclass(frozen=True, slots=True)
class Lateness:
    """``lacking``: bars that were due since the last one; ``allowed``: how many may be before the series is stale.

    ``in_hours``: whether any of the latest ``allowed`` bars was expected at all.
    """

    lacking: int
    allowed: int
    in_hours: bool

    @property
    def is_stale(self) -> bool:
        return self.lacking > self.allowed


def trades_rarely(series: BarSeries) -> bool:
    return series.policy is GapPolicy.WHEN_TRADED


def lateness(series: BarSeries, now: datetime) -> Lateness:
    """Return how late a series is that was checked before; its calendar must be at hand (``prepare_calendar``)."""
    assert series.checked_until is not None
    timeframe = Timeframe(series.timeframe)
    last = int(series.checked_until.timestamp())
    due = last_due_stamp(series.calendar, timeframe, series.stamping, now - GRACE)
    allowed = series.quiet_slots or _QUIET_SLOTS if trades_rarely(series) else _STALE_SLOTS
    first = due - (allowed - 1) * timeframe.seconds
    grid = grid_around(series.calendar, timeframe, series.stamping, min(last, first), max(last, due))
    return Lateness(grid.count_between(last, due + 1), allowed, grid.count_between(first, due + 1) > 0)
