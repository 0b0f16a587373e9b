"""Series as plain rows, for work on many at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from reconciliation.core.gaps import GapPolicy
from reconciliation.core.slots import DailyStamp, SlotGrid, Stamping
from reconciliation.core.timeframes import Timeframe
from reconciliation.services.market_data.calendars import grid_around

_READ = """
SELECT id, symbol, timeframe, calendar, coalesce(nullif(feed_policy, ''), gap_policy), stamp_offset, daily_stamp,
       extract(epoch FROM checked_until)::bigint
FROM reconciliation_barseries WHERE {condition} ORDER BY id FOR UPDATE
"""
_MOVE = """
UPDATE reconciliation_barseries SET checked_until = to_timestamp(mark.stamp)
FROM unnest(%s::bigint[], %s::bigint[]) AS mark (id, stamp)
WHERE reconciliation_barseries.id = mark.id AND checked_until IS DISTINCT FROM to_timestamp(mark.stamp)
"""


@dataclass(frozen=True, slots=True)
class SeriesMark:
    """One series, and the stamp before which every gap of it is recorded."""

    id: int
    symbol: str
    timeframe: Timeframe
    calendar: str
    policy: GapPolicy
    stamping: Stamping
    checked_until: int | None

    def grid(self, first: int, last: int) -> SlotGrid:
        return grid_around(self.calendar, self.timeframe, self.stamping, first, last)


def lock_marks(*, symbol: str | None = None, ids: Sequence[int] | None = None) -> list[SeriesMark]:
    """Return all series, those of one symbol, or those with the given ids, locked in the caller's transaction.

    Whoever records gaps of a series holds its row, so that two processes do not record the same gap.
    """
    condition, parameters = "true", list[Any]()
    if symbol is not None:
        condition, parameters = "symbol = %s", [symbol]
    elif ids is not None:
        condition, parameters = "id = ANY(%s)", [list(ids)]
    with connection.cursor() as cursor:
        cursor.execute(_READ.format(condition=condition), parameters)
        rows = cursor.fetchall()
    stampings: dict[tuple[int, str], Stamping] = {}
    marks = []
    for series_id, name, timeframe, calendar, policy, offset, daily, checked in rows:
        stamping = stampings.setdefault((offset, daily), Stamping(offset, DailyStamp(daily)))
        marks.append(SeriesMark(series_id, name, Timeframe(timeframe), calendar, GapPolicy(policy), stamping, checked))
    return marks


def move_marks(stamps: dict[int, int]) -> None:
    """Set, by series id, the stamp before which every gap is recorded."""
    if stamps:
        with connection.cursor() as cursor:
            cursor.execute(_MOVE, [list(stamps), list(stamps.values())])
