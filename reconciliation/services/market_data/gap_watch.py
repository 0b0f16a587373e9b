"""Notice gaps as they come about: only bars after each series' watermark are read, whatever the history.

``watch_gaps`` runs every few seconds. ``settle_gaps`` follows bars that arrive for times already looked through.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from django.db import connection, transaction

from reconciliation.core.bars import instant
from reconciliation.core.gaps import OPEN_STATES, GapCause, Run
from reconciliation.core.slots import SlotGrid, Stamping
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import Gap
from reconciliation.services.market_data.calendars import last_due_stamp
from reconciliation.services.market_data.gap_records import (
    Finding,
    RecordedChanges,
    record_findings,
    series_with_gaps,
)
from reconciliation.services.market_data.gap_scan import held_stamps, policy_runs
from reconciliation.services.market_data.marks import SeriesMark, lock_marks, move_marks

GRACE = timedelta(seconds=5)  # how long after its end a bar may take to arrive before it is missing

_STEPS = """
SELECT series_id, extract(epoch FROM opened_at)::bigint, extract(epoch FROM following)::bigint,
       extract(epoch FROM first)::bigint
FROM (
    SELECT mark.id AS series_id, mark.step, bar.opened_at,
           lead(bar.opened_at) OVER (PARTITION BY mark.id ORDER BY bar.opened_at) AS following,
           first_value(bar.opened_at) OVER (PARTITION BY mark.id ORDER BY bar.opened_at) AS first
    FROM unnest(%(ids)s::bigint[], %(since)s::bigint[], %(steps)s::interval[]) AS mark (id, since, step)
    CROSS JOIN LATERAL (
        SELECT opened_at FROM reconciliation_bar
        WHERE series_id = mark.id AND opened_at >= to_timestamp(mark.since) AND opened_at >= %(earliest)s
        ORDER BY opened_at
    ) AS bar
) AS steps
WHERE following IS NULL OR following <> opened_at + step
ORDER BY series_id, opened_at
"""
_PRESENT = """
SELECT extract(epoch FROM opened_at)::bigint FROM reconciliation_bar
WHERE series_id = %s AND opened_at BETWEEN %s AND %s ORDER BY opened_at
"""


def watch_gaps(series_ids: Sequence[int], now: datetime, grace: timedelta = GRACE) -> RecordedChanges:
    """Record what is missing of live series between their watermark and ``now``, and move the watermarks.

    A bar is missing once it has been over for ``grace``. A series without a watermark has no bars yet and is left
    alone: its first bar sets one.
    """
    with transaction.atomic():
        series = [one for one in lock_marks(ids=series_ids) if one.checked_until is not None]
        if not series:
            return RecordedChanges()
        steps, firsts = _steps_after_marks(series)
        since = instant(min(one.checked_until for one in series if one.checked_until is not None))
        held = held_stamps([one.id for one in series], since)
        gaping = series_with_gaps(since)
        due = _due_stamps(series, now - grace)
        findings = []
        for one in series:
            pairs = _from_mark(one, firsts.get(one.id), steps.get(one.id, []))
            found = _finding(one, pairs, due[one.calendar, one.timeframe, one.stamping], held.get(one.id, ()))
            if found is not None and (found.runs or one.id in gaping):
                findings.append(found)
        changes = record_findings(findings, now=now)
        move_marks({series_id: pairs[-1][0] for series_id, pairs in steps.items()})
    return changes


def _due_stamps(series: Sequence[SeriesMark], moment: datetime) -> dict[tuple[str, Timeframe, Stamping], int]:
    kinds = {(one.calendar, one.timeframe, one.stamping) for one in series}
    return {kind: last_due_stamp(*kind, moment) for kind in kinds}


def _from_mark(
    series: SeriesMark, first: int | None, pairs: list[tuple[int, int | None]]
) -> list[tuple[int, int | None]]:
    """Return pairs that begin at the watermark, also where there is no bar: a new series begins between two bars."""
    mark = series.checked_until
    return [(mark, first), *pairs] if mark is not None and first is not None and first > mark else pairs


def _steps_after_marks(
    series: Sequence[SeriesMark],
) -> tuple[dict[int, list[tuple[int, int | None]]], dict[int, int]]:
    """Return, per series, the pairs of neighbours that are not one timeframe apart, and the first bar.

    The last bar has no neighbour.
    """
    marks = [one.checked_until for one in series if one.checked_until is not None]
    parameters: dict[str, Any] = {
        "ids": [one.id for one in series],
        "since": marks,
        "steps": [one.timeframe.step for one in series],
        "earliest": instant(min(marks)),
    }
    steps: dict[int, list[tuple[int, int | None]]] = defaultdict(list)
    firsts: dict[int, int] = {}
    with connection.cursor() as cursor:
        cursor.execute(_STEPS, parameters)
        for series_id, stamp, following, first in cursor.fetchall():
            steps[series_id].append((stamp, following))
            firsts[series_id] = first
    return steps, firsts


def _finding(
    series: SeriesMark, pairs: Sequence[tuple[int, int | None]], due: int, held: Sequence[int]
) -> Finding | None:
    """Return what is missing after the watermark, or None where nothing can be."""
    mark = series.checked_until
    assert mark is not None
    last = pairs[-1][0] if pairs else mark
    closed = [(before, after) for before, after in pairs if after is not None]
    if due > last:
        closed.append((last, due + 1))
    if not closed:
        return None
    grid = series.grid(mark, max(last, due))
    stretch = Run(grid.position(mark + 1), grid.position(closed[-1][1]) - 1)
    if stretch.last < stretch.first:
        return None
    return Finding(series, grid, policy_runs(series, grid, closed, held), stretch)


def settle_gaps(series_id: int, stamps: Collection[int], *, actor: str = "") -> RecordedChanges:
    """Bring the recorded gaps of one series up to date with bars that arrived at ``stamps``, in one transaction."""
    if not stamps:
        return RecordedChanges()
    with transaction.atomic():
        (series,) = lock_marks(ids=[series_id])
        gaps = Gap.objects.filter(
            series_id=series_id,
            cause=GapCause.MISSING.value,
            state__in=[state.value for state in OPEN_STATES],
            started_at__lte=instant(max(stamps)),
            ended_at__gte=instant(min(stamps)),
        ).order_by("started_at")
        touched = [(int(gap.started_at.timestamp()), int(gap.ended_at.timestamp())) for gap in gaps]
        if not touched:
            return RecordedChanges()
        grid = series.grid(touched[0][0], touched[-1][1])
        held = held_stamps([series_id], instant(touched[0][0])).get(series_id, [])
        findings = [look_between(series, grid, start, end, held) for start, end in touched]
        return record_findings(findings, actor=actor)


def look_between(series: SeriesMark, grid: SlotGrid, start: int, end: int, held: Sequence[int]) -> Finding:
    """Return what is missing between two stamps, both included."""
    with connection.cursor() as cursor:
        cursor.execute(_PRESENT, [series.id, instant(start), instant(end)])
        present = [stamp for (stamp,) in cursor.fetchall()]
    edges = [start - 1, *present, end + 1]
    runs = policy_runs(series, grid, list(pairwise(edges)), held)
    return Finding(series, grid, runs, Run(grid.position(start), grid.position(end)))
