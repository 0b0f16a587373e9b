"""Look for gaps through the whole history: one pass over the bars in the database, in the order of their key.

The database names only the steps between neighbouring bars that are not one timeframe long: nights, weekends,
holidays, and gaps. The calendar then says which of these few steps hide expected bars.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from reconciliation.core.bar_rules import SHOWS_NO_BAR
from reconciliation.core.gaps import GapCause, GapPolicy, GapState, Run, missing_runs, without
from reconciliation.core.slots import SlotGrid
from reconciliation.models import Gap
from reconciliation.services.market_data.gap_records import Finding, RecordedChanges, record_findings
from reconciliation.services.market_data.marks import SeriesMark, lock_marks, move_marks
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
_HELD = """
SELECT series_id, extract(epoch FROM stamp)::bigint FROM reconciliation_questionablebar
WHERE series_id = ANY(%(ids)s) AND state = 'held' AND stamp >= coalesce(%(since)s, '-infinity'::timestamptz)
  AND NOT faults ?| %(no_bar)s::text[]
"""
_NO_BAR = sorted(fault.value for fault in SHOWS_NO_BAR)


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
        series = sorted(lock_marks(symbol=symbol), key=lambda one: (one.symbol, one.timeframe.seconds))
        steps = _irregular_steps(series)
        held = held_stamps([one.id for one in series])
        findings = [
            finding
            for one in series
            if (finding := _finding(one, steps.get(one.id, []), held.get(one.id, ()))) is not None
        ]
        accepted = _accepted_gaps(findings)
        missing = [gap for finding in findings for gap in _missing(finding, accepted.get(finding.series.id, ()))]
        changes = record_findings(findings, actor=actor)
        move_marks({series_id: pairs[-1][1] for series_id, pairs in steps.items() if pairs})
    return ScanResult(len(series), tuple(missing), changes)


def _irregular_steps(series: Sequence[SeriesMark]) -> dict[int, list[tuple[int, int]]]:
    """Return, per series, the pairs of neighbouring stamps that are not one timeframe apart.

    The last bar of each series comes too, as a pair with itself.
    """
    steps: dict[int, list[tuple[int, int]]] = defaultdict(list)
    tails: dict[int, int] = {}
    parameters = {
        "ids": [one.id for one in series],
        "steps": [one.timeframe.step for one in series],
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


def _finding(series: SeriesMark, steps: Sequence[tuple[int, int]], held: Sequence[int]) -> Finding | None:
    """Return what is missing of one series, or None where it has no bars."""
    if not steps:
        return None
    grid = series.grid(steps[0][0], steps[-1][1])
    return Finding(series, grid, policy_runs(series, grid, steps, held), Run(0, len(grid) - 1))


def policy_runs(series: SeriesMark, grid: SlotGrid, steps: Sequence[tuple[int, int]], held: Sequence[int]) -> list[Run]:
    """Return the runs inside ``steps`` that are gaps under the policy of the series.

    Bars that came and may not be used (``held``) are questionable, not missing.
    """
    runs = list(missing_runs(grid, steps))
    runs = without(runs, [grid.position(stamp) for stamp in held if grid.expects(stamp)])
    if series.policy is GapPolicy.WHEN_TRADED:
        runs = [run for run in runs if _holds_whole_session(grid, run)]
    return runs


def _holds_whole_session(grid: SlotGrid, run: Run) -> bool:
    """Return whether a run holds every expected bar of some stretch of trading."""
    return any(
        run.first <= before and before + count - 1 <= run.last
        for before, count in zip(grid.before, grid.counts, strict=True)
    )


def held_stamps(series_ids: Sequence[int], since: datetime | None = None) -> dict[int, list[int]]:
    """Return, by series, the stamps of bars that came and may not be used."""
    stamps: dict[int, list[int]] = defaultdict(list)
    for series_id, stamp in _rows(_HELD, {"ids": list(series_ids), "since": since, "no_bar": _NO_BAR}):
        stamps[series_id].append(stamp)
    return stamps


def _accepted_gaps(findings: Sequence[Finding]) -> dict[int, list[Gap]]:
    gaps: dict[int, list[Gap]] = defaultdict(list)
    ids = [finding.series.id for finding in findings]
    for gap in Gap.objects.filter(series_id__in=ids, state=GapState.ACCEPTED.value, cause=GapCause.MISSING.value):
        gaps[gap.series_id].append(gap)
    return gaps


def _missing(finding: Finding, accepted: Sequence[Gap]) -> Iterator[MissingBars]:
    """Yield what is missing, less what was accepted."""
    grid, series = finding.grid, finding.series
    settled = [
        position
        for gap in accepted
        for position in range(
            grid.position(int(gap.started_at.timestamp())), grid.position(int(gap.ended_at.timestamp()) + 1)
        )
    ]
    for run in without(finding.runs, settled):
        yield MissingBars(series.symbol, series.timeframe.value, grid.at(run.first), grid.at(run.last), run.missing)
