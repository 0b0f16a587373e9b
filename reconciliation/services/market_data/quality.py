"""Quality of market data: how many bars were due, what came of them, and an alert where a day is below the mark."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from reconciliation.core.gaps import GapCause, GapPolicy
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import BarSeries
from reconciliation.selectors.quality import DayQuality, extents, open_gaps_between, quality_by_day
from reconciliation.services.market_data.calendars import grid_around, last_due_stamp
from reliability.services.alert_thresholds import read_thresholds
from reliability.services.alerting import Raising, follow_condition


def read_quality(
    series: Sequence[BarSeries], first: date, last: date, now: datetime
) -> dict[int, dict[date, DayQuality]]:
    """Return, by series and day in UTC, how complete, timely and valid its bars were.

    Missing bars are those of recorded gaps, so a day is as well known as gaps are.
    """
    known = extents(series)
    table = quality_by_day(series, first, last, _expected(series, known, first, last, now))
    for one in series:
        for day, quality in table[one.pk].items():
            quality.is_outside = _is_outside(known[one.pk], day)
    start, end = datetime.combine(first, time(), UTC), datetime.combine(last + timedelta(days=1), time(), UTC)
    for gap in open_gaps_between(series, start, end):
        if gap.cause != GapCause.MISSING or gap.state == "accepted":
            continue
        from_stamp, to_stamp = int(gap.started_at.timestamp()), int(gap.ended_at.timestamp())
        one = gap.series
        grid = grid_around(one.calendar, Timeframe(one.timeframe), one.stamping, from_stamp, to_stamp)
        for day, quality in table[one.pk].items():
            midnight = int(datetime.combine(day, time(), UTC).timestamp())
            quality.missing += grid.count_between(
                max(from_stamp, midnight) - 1, min(to_stamp, midnight + 86_400 - 1) + 1
            )
    return table


def _is_outside(extent: tuple[int, int] | None, day: date) -> bool:
    midnight = int(datetime.combine(day, time(), UTC).timestamp())
    return extent is None or midnight + 86_400 <= extent[0] or midnight > extent[1]


def _expected(
    series: Sequence[BarSeries], known: dict[int, tuple[int, int] | None], first: date, last: date, now: datetime
) -> dict[tuple[int, date], int]:
    """Return how many bars were due by series and day, of the stretch that was looked through."""
    due: dict[tuple[int, date], int] = {}
    start = int(datetime.combine(first, time(), UTC).timestamp())
    end = int(datetime.combine(last, time(), UTC).timestamp()) + 86_400
    for one in series:
        timeframe = Timeframe(one.timeframe)
        grid = grid_around(one.calendar, timeframe, one.stamping, start, end)
        begun, looked = known[one.pk] or (0, 0)
        over = min(last_due_stamp(one.calendar, timeframe, one.stamping, now), looked)
        for number in range((last - first).days + 1):
            midnight = start + number * 86_400
            lower, upper = max(midnight, begun) - 1, min(midnight + 86_400, over + 1)
            count = grid.count_between(lower, upper) if lower < upper else 0
            # Where a missing bar says that nothing was traded, what came is what was due.
            if one.policy is GapPolicy.EVERY_SLOT or count == 0:
                due[one.pk, first + timedelta(days=number)] = count
            else:
                due[one.pk, first + timedelta(days=number)] = 1
    return due


def tell_quality(series: Sequence[BarSeries], now: datetime) -> None:
    """Raise or end the alert of each series whose bars of today are below the mark."""
    today = now.astimezone(UTC).date()
    table = read_quality(series, today, today, now)
    set_to = read_thresholds("data.quality")
    mark, fewest = set_to["mark_percent"] / 100, set_to["fewest_bars"]
    present = []
    for one in series:
        quality = table[one.pk][today]
        if quality.score is not None and quality.expected >= fewest and quality.score < mark:
            shares = ", ".join(
                f"{name} {share:.1%}"
                for name, share in (
                    ("complete", quality.completeness),
                    ("in time", quality.timeliness),
                    ("valid", quality.validity),
                )
                if share is not None
            )
            scope = f"series:{one.symbol}/{one.timeframe}"
            present.append(Raising("data.quality", scope, message=f"{one} today: {shares}."))
    follow_condition("data.quality", present, reason="today's bars are good enough again", prefix="series:")
