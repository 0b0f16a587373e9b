"""Learn from the bars of symbols that trade rarely how long each is usually silent, once an hour."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from django.db import connection

from reconciliation.core.gaps import GapPolicy
from reconciliation.core.staleness import usual_quiet
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import BarSeries
from reconciliation.services.market_data.calendars import grid_around

_LOOKED_AT = 2_000
_LAST = """
SELECT extract(epoch FROM opened_at)::bigint FROM reconciliation_bar
WHERE series_id = %s AND opened_at <= %s ORDER BY opened_at DESC LIMIT %s
"""


def learn_silence(series: Sequence[BarSeries], now: datetime) -> None:
    """Write into each series whose missing bars are no gaps how many slots it is usually silent for.

    Where every slot has its bar, nothing is to be learned: two missing ones are unusual.
    """
    for one in series:
        if one.policy is not GapPolicy.WHEN_TRADED:
            continue
        quiet = usual_quiet(_quiet_lengths(one, now))
        if quiet != one.quiet_slots:
            one.quiet_slots = quiet
            one.save(update_fields=["quiet_slots"])


def _quiet_lengths(series: BarSeries, now: datetime) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_LAST, [series.pk, now, _LOOKED_AT])
        stamps = [stamp for (stamp,) in reversed(cursor.fetchall())]
    if not stamps:
        return []
    grid = grid_around(series.calendar, Timeframe(series.timeframe), series.stamping, stamps[0], stamps[-1])
    return [grid.count_between(before, after) for before, after in pairwise(stamps)]
