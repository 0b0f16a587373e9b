"""Have the missing bars of a stretch of time fetched because somebody asks: what is missing becomes gaps to fill."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from reconciliation.core.timeframes import Timeframe
from reconciliation.models import BarSeries, Feed
from reconciliation.services.market_data.backfill_job import enqueue_backfills
from reconciliation.services.market_data.calendars import grid_around
from reconciliation.services.market_data.gap_records import record_findings
from reconciliation.services.market_data.gap_scan import held_stamps
from reconciliation.services.market_data.gap_watch import look_between
from reconciliation.services.market_data.marks import lock_marks
from reliability.core.errors import ReliabilityError
from reliability.services.audit import record_audit

MOST_BARS = 530_000  # a year of minutes around the clock; more is asked for in parts


@dataclass(frozen=True, slots=True)
class BackfillAsked:
    """How many bars are missing in the stretch, and in how many gaps that nobody knew of."""

    symbol: str
    timeframe: str
    missing: int
    new_gaps: int


def request_backfill(symbol: str, timeframe: Timeframe, start: datetime, end: datetime, *, by: str) -> BackfillAsked:
    """Have what is missing from ``start`` to ``end``, both included, asked for at the feeds of a series.

    Raises:
        ReliabilityError: there is no such series, no enabled feed delivers it, or no feed can have the stretch:
            it is backwards, in the future, before the history of every feed, or too long.
    """
    series = BarSeries.objects.filter(symbol=symbol, timeframe=timeframe.value).first()
    if series is None:
        raise _refused(f"There is no series {symbol} {timeframe.value}.", "symbol")
    feeds = list(Feed.objects.filter(enabled=True, subscriptions__series=series))
    if not feeds:
        raise _refused(f"No enabled feed delivers {series}.", "symbol")
    require_possible_stretch(start, end, feeds)
    first, last = int(start.timestamp()), int(end.timestamp())
    grid = grid_around(series.calendar, timeframe, series.stamping, first, last)
    expected = grid.count_between(first - 1, last + 1)
    if expected > MOST_BARS:
        raise _refused(f"{expected} bars are expected in it; ask for at most {MOST_BARS} at once.", "end")
    if expected == 0:
        return BackfillAsked(symbol, timeframe.value, 0, 0)
    with transaction.atomic():
        (mark,) = lock_marks(ids=[series.pk])
        held = held_stamps([series.pk], start).get(series.pk, [])
        finding = look_between(mark, grid, first, last, held)
        changes = record_findings([finding], actor=by, now=timezone.now())
        enqueue_backfills(changes.found)
        missing = sum(run.missing for run in finding.runs)
        stretch = {"start": start.isoformat(), "end": end.isoformat(), "missing": missing}
        record_audit(by, "market_data.backfill", f"series:{series}", after=stretch)
    return BackfillAsked(symbol, timeframe.value, missing, len(changes.found))


def require_possible_stretch(start: datetime, end: datetime, feeds: list[Feed]) -> None:
    """Refuse a stretch of which no feed can have a bar.

    Raises:
        ReliabilityError: with one sentence that says why.
    """
    if start > end:
        raise _refused(f"The stretch is backwards: {_text(start)} is after {_text(end)}.", "start")
    now = timezone.now()
    if end > now:
        raise _refused(f"{_text(end)} is in the future: it is {_text(now)}.", "end" if start <= now else "start")
    begins = [feed.history_from for feed in feeds]
    known = [moment for moment in begins if moment is not None]
    if known and len(known) == len(begins) and start < min(known):
        raise _refused(f"No feed has bars of {_text(start)}: the history begins at {_text(min(known))}.", "start")


def _refused(problem: str, where: str) -> ReliabilityError:
    return ReliabilityError("VALIDATION_INVALID_REQUEST", problem, details={where: [problem]})


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
