"""Give usable bars to consumers: in the order of time per series, each version once.

Releasing is one transaction at a time over all processes, so ``seq`` grows in the order of commits and a reader
that goes on after the last ``seq`` it saw misses nothing.
"""

from collections.abc import Collection, Sequence

from django.db import connection, transaction
from django.db.models import Min

from reconciliation.core.bars import instant
from reconciliation.models import BarSeries

_LOCK = 7_103_002
_ANNOUNCED = "quality <> 'imported'"  # a file is history: the Redis stream does not carry it
_RELEASE = f"""
WITH released AS (
    INSERT INTO reconciliation_barrelease (series_id, opened_at, revision, announced)
    SELECT series_id, opened_at, revision, {_ANNOUNCED} FROM reconciliation_bar
    WHERE series_id = %(series)s AND opened_at > coalesce(%(after)s, '-infinity'::timestamptz)
      AND opened_at < coalesce((SELECT min(started_at) FROM reconciliation_gap WHERE series_id = %(series)s
                                AND state IN ('found', 'filling')
                                AND started_at > coalesce(%(after)s, '-infinity'::timestamptz)),
                               'infinity'::timestamptz)
    ORDER BY opened_at
    ON CONFLICT (series_id, opened_at, revision) DO NOTHING
    RETURNING opened_at
)
SELECT count(*), max(opened_at) FROM released
"""  # noqa: S608  # a condition of our own
_EARLIER = f"""
INSERT INTO reconciliation_barrelease (series_id, opened_at, revision, announced)
SELECT series_id, opened_at, revision, {_ANNOUNCED} FROM reconciliation_bar
WHERE series_id = %(series)s AND opened_at <= %(after)s AND opened_at = ANY(%(stamps)s)
ORDER BY opened_at
ON CONFLICT (series_id, opened_at, revision) DO NOTHING
"""  # noqa: S608  # a condition of our own


_WAITING = """
SELECT series.id FROM reconciliation_barseries series
WHERE series.id = ANY(%s) AND EXISTS (
    SELECT 1 FROM reconciliation_bar bar WHERE bar.series_id = series.id AND bar.opened_at > series.released_until
      AND bar.opened_at >= %s)
"""


def release_waiting(series_ids: Sequence[int]) -> int:
    """Release what waited for gaps that are over now or were given up; a transaction for each series."""
    since = BarSeries.objects.filter(pk__in=series_ids).aggregate(Min("released_until"))["released_until__min"]
    if since is None:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [list(series_ids), since])
        waiting = [series_id for (series_id,) in cursor.fetchall()]
    released = 0
    for series_id in waiting:
        with transaction.atomic():
            released += release_bars(BarSeries.objects.select_for_update().get(pk=series_id), [])
    return released


def release_bars(series: BarSeries, changed: Collection[int]) -> int:
    """Release what is due of one series, locked by the caller, in its transaction; returns how many bars that were.

    ``changed`` are stamps of bars just written. Those earlier than what was released before (a revision, a late
    bar of a gap that was given up) follow at once. Bars after a gap that is still being filled wait for it.
    """
    parameters = {"series": series.pk, "after": series.released_until, "stamps": [instant(one) for one in changed]}
    earlier = 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        if series.released_until is not None and changed:
            cursor.execute(_EARLIER, parameters)
            earlier = cursor.rowcount
        cursor.execute(_RELEASE, parameters)
        count, last = cursor.fetchone()
    if last is not None:
        series.released_until = last
        series.save(update_fields=["released_until"])
    return earlier + int(count)
