"""How good the market data of each series was, day by day: complete, in time, valid."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import connection

from reconciliation.core.gaps import OPEN_STATES
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import BarSeries, Gap

_RECEIVED = """
SELECT bar.series_id, (bar.opened_at AT TIME ZONE 'UTC')::date, bar.source, count(*),
       count(*) FILTER (WHERE bar.quality IN ('live', 'confirmed')
                          AND bar.received_at > bar.opened_at + series.step + interval '10 seconds')
FROM unnest(%(ids)s::bigint[], %(steps)s::interval[]) AS series (id, step)
JOIN reconciliation_bar bar ON bar.series_id = series.id
WHERE bar.opened_at >= %(start)s AND bar.opened_at < %(end)s
GROUP BY 1, 2, 3
"""
_HELD = """
SELECT series_id, (coalesce(stamp, received_at) AT TIME ZONE 'UTC')::date, source, count(*)
FROM reconciliation_questionablebar
WHERE series_id = ANY(%(ids)s) AND coalesce(stamp, received_at) >= %(start)s AND coalesce(stamp, received_at) < %(end)s
  AND NOT faults <@ '["closed_market"]'::jsonb
GROUP BY 1, 2, 3
"""


@dataclass(slots=True)
class DayQuality:
    """One series on one day. Shares are of 1, and None where there is nothing to share.

    ``is_outside`` says that the day lies before the first bar of the series or after the last one that was looked for:
    nothing is known of it. ``by_source`` has for each source how many bars were usable, late and questionable.
    """

    day: date
    expected: int = 0
    received: int = 0
    late: int = 0
    held: int = 0
    missing: int = 0
    is_outside: bool = False
    by_source: dict[str, list[int]] = field(default_factory=dict)

    @property
    def completeness(self) -> float | None:
        return None if self.expected == 0 else max(0.0, 1 - self.missing / self.expected)

    @property
    def timeliness(self) -> float | None:
        return None if self.received == 0 else 1 - self.late / self.received

    @property
    def validity(self) -> float | None:
        came = self.received + self.held
        return None if came == 0 else self.received / came

    @property
    def score(self) -> float | None:
        """The worst of the three."""
        known = [one for one in (self.completeness, self.timeliness, self.validity) if one is not None]
        return min(known) if known and self.completeness is not None else None


def quality_by_day(
    series: Sequence[BarSeries], first: date, last: date, expected: dict[tuple[int, date], int]
) -> dict[int, dict[date, DayQuality]]:
    """Return, by series and day in UTC, what came. ``expected`` is how many bars were due by now."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    table = {one.pk: {day: DayQuality(day, expected=expected.get((one.pk, day), 0)) for day in days} for one in series}
    parameters: dict[str, Any] = {
        "ids": [one.pk for one in series],
        "steps": [_step(one) for one in series],
        "start": datetime.combine(first, time(), UTC),
        "end": datetime.combine(last + timedelta(days=1), time(), UTC),
    }
    with connection.cursor() as cursor:
        cursor.execute(_RECEIVED, parameters)
        for series_id, day, source, received, late in cursor.fetchall():
            one = table[series_id][day]
            one.received += received
            one.late += late
            counts = one.by_source.setdefault(source, [0, 0, 0])
            counts[0] += received
            counts[1] += late
        cursor.execute(_HELD, parameters)
        for series_id, day, source, held in cursor.fetchall():
            one = table[series_id][day]
            one.held += held
            one.by_source.setdefault(source, [0, 0, 0])[2] += held
    return table


_EXTENTS = """
SELECT series.id,
       extract(epoch FROM least((SELECT min(opened_at) FROM reconciliation_bar WHERE series_id = series.id),
                                (SELECT min(started_at) FROM reconciliation_gap WHERE series_id = series.id)))::bigint,
       extract(epoch FROM greatest(series.checked_until,
                                (SELECT max(ended_at) FROM reconciliation_gap WHERE series_id = series.id)))::bigint
FROM reconciliation_barseries series WHERE series.id = ANY(%s)
"""


def extents(series: Sequence[BarSeries]) -> dict[int, tuple[int, int] | None]:
    """Return the first and the last stamp of each series that bars were looked for at; None where there was none."""
    with connection.cursor() as cursor:
        cursor.execute(_EXTENTS, [[one.pk for one in series]])
        rows = cursor.fetchall()
    return {pk: None if first is None or last is None else (first, last) for pk, first, last in rows}


def open_gaps_between(series: Sequence[BarSeries], start: datetime, end: datetime) -> list[Gap]:
    """Return the gaps that are not over and touch a stretch, oldest first."""
    states = [state.value for state in OPEN_STATES]
    query = Gap.objects.select_related("series").filter(series__in=series, started_at__lt=end, ended_at__gte=start)
    return list(query.filter(state__in=states).order_by("started_at")[:500])


def _step(series: BarSeries) -> timedelta:
    return Timeframe(series.timeframe).step
