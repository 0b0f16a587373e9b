"""Look for gaps through the whole history: one pass over the bars in the database, in the order of their key.

The database names only the steps between neighbouring bars that are not one timeframe long: nights, weekends,
holidays, and gaps. The calendar then says which of these few steps hide expected bars.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from reconciliation.core.bars import instant
from reconciliation.core.gaps import GapCause, GapPolicy, GapState, Run, missing_runs, without
from reconciliation.core.slots import SlotGrid
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import BarSeries, Gap, QuestionableBar
from reconciliation.services.market_data.calendars import grid_around
from reconciliation.services.market_data.gap_records import Finding, RecordedChanges, record_findings
from reconciliation.services.market_data.partitions import list_partitions

_STEPS = """
SELECT bar.series_id, extract(epoch FROM bar.opened_at)::bigint, extract(epoch FROM bar.following)::bigint
FROM (SELECT series_id, opened_at, lead(opened_at) OVER (PARTITION BY series_id ORDER BY opened_at) AS following
      FROM {partition} {condition}) bar
JOIN unnest(%(ids)s::bigint[], %(steps)s::interval[]) AS series (id, step) ON series.id = bar.series_id
WHERE bar.following IS NULL OR bar.following <> bar.opened_at + series.step
ORDER BY bar.series_id, bar.opened_at
"""
_FIRSTS = """
SELECT series.id, extract(epoch FROM (SELECT min(opened_at) FROM {partition} WHERE series_id = series.id))::bigint
FROM unnest(%(ids)s::bigint[]) AS series (id)
"""


@dataclass(frozen=True, slots=True)
class MissingBars:
    """A run of missing bars, by the stamps of the first and the last of them."""

    symbol: str
    timeframe: str
    start: int
    end: int
    missing: int


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scan found, and what it changed in the rows of gaps."""

    series: int
    missing: tuple[MissingBars, ...]
    changes: RecordedChanges


def scan_gaps(symbol: str | None = None, *, actor: str = "") -> ScanResult:
    """Look through all bars of one symbol, or of all, and record the gaps found.

    What comes before the first bar of a series and after its last is no gap: nobody said that it should be there.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '10min'")
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '10min'")
        series = list(_locked(symbol))
        steps = _irregular_steps(series)
        findings: list[Finding] = []
        missing: list[MissingBars] = []
        held = _held_stamps(series)
        accepted = _accepted_gaps(series)
        for one in series:
            found = _finding(one, steps.get(one.pk, []), held.get(one.pk, ()))
            if found is None:
                continue
            findings.append(found)
            missing.extend(_missing(one, found, accepted.get(one.pk, ())))
        changes = record_findings(findings, actor=actor)
        _move_watermarks(series, steps)
    return ScanResult(len(series), tuple(missing), changes)


def _locked(symbol: str | None) -> QuerySet[BarSeries]:
    query = BarSeries.objects.select_for_update().order_by("symbol", "timeframe")
    return query if symbol is None else query.filter(symbol=symbol)


def _irregular_steps(series: Sequence[BarSeries]) -> dict[int, list[tuple[int, int]]]:
    """Return, per series, the pairs of neighbouring stamps that are not one timeframe apart.

    The last bar of each series comes too, as a pair with itself.
    """
    steps: dict[int, list[tuple[int, int]]] = defaultdict(list)
    tails: dict[int, int] = {}
    parameters = {
        "ids": [one.pk for one in series],
        "steps": [Timeframe(one.timeframe).step for one in series],
    }
    for partition in list_partitions():
        for series_id, first in _rows(_FIRSTS.format(partition=partition), parameters):
            if first is not None and series_id in tails:
                steps[series_id].append((tails[series_id], first))
        # All series together are read in the order of the key; a few are better sought one by one.
        condition = "" if len(series) > 50 else "WHERE series_id = ANY(%(ids)s)"
        for series_id, stamp, following in _rows(_STEPS.format(partition=partition, condition=condition), parameters):
            if following is None:
                tails[series_id] = stamp
            else:
                steps[series_id].append((stamp, following))
    for series_id, stamp in tails.items():
        steps[series_id].append((stamp, stamp))
    return steps


def _rows(statement: str, parameters: Mapping[str, Any]) -> Iterator[tuple[int, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        yield from cursor.fetchall()


def _finding(series: BarSeries, steps: Sequence[tuple[int, int]], held: Sequence[int]) -> Finding | None:
    """Return what is missing of one series, or None where it has no bars."""
    if not steps:
        return None
    first, last = steps[0][0], steps[-1][1]
    grid = grid_around(series.calendar, Timeframe(series.timeframe), series.stamping, first, last)
    runs = list(missing_runs(grid, steps))
    runs = without(runs, [grid.position(stamp) for stamp in held if grid.expects(stamp)])
    if series.gap_policy == GapPolicy.WHEN_TRADED:
        runs = [run for run in runs if _holds_whole_session(grid, run)]
    return Finding(series.pk, grid, runs, Run(0, len(grid) - 1))


def _holds_whole_session(grid: SlotGrid, run: Run) -> bool:
    """Return whether a run holds every expected bar of some stretch of trading."""
    return any(
        run.first <= before and before + count - 1 <= run.last
        for before, count in zip(grid.before, grid.counts, strict=True)
    )


def _held_stamps(series: Sequence[BarSeries]) -> dict[int, list[int]]:
    """Return the stamps of bars that came and may not be used: they are questionable, not missing."""
    stamps: dict[int, list[int]] = defaultdict(list)
    rows = QuestionableBar.objects.filter(
        series__in=series, state=QuestionableBar.State.HELD, stamp__isnull=False
    ).values_list("series_id", "stamp")
    for series_id, stamp in rows:
        if series_id is not None and stamp is not None:
            stamps[series_id].append(int(stamp.timestamp()))
    return stamps


def _accepted_gaps(series: Sequence[BarSeries]) -> dict[int, list[Gap]]:
    gaps: dict[int, list[Gap]] = defaultdict(list)
    for gap in Gap.objects.filter(series__in=series, state=GapState.ACCEPTED.value, cause=GapCause.MISSING.value):
        gaps[gap.series_id].append(gap)
    return gaps


def _missing(series: BarSeries, finding: Finding, accepted: Sequence[Gap]) -> Iterator[MissingBars]:
    grid = finding.grid
    settled = [
        position
        for gap in accepted
        for position in range(
            grid.position(int(gap.started_at.timestamp())), grid.position(int(gap.ended_at.timestamp()) + 1)
        )
    ]
    for run in without(finding.runs, settled):
        yield MissingBars(series.symbol, series.timeframe, grid.at(run.first), grid.at(run.last), run.missing)


def _move_watermarks(series: Sequence[BarSeries], steps: dict[int, list[tuple[int, int]]]) -> None:
    for one in series:
        if one.pk in steps:
            one.checked_until = instant(steps[one.pk][-1][1])
    BarSeries.objects.bulk_update([one for one in series if one.pk in steps], ["checked_until"], batch_size=500)
