"""Bring the rows of gaps to what is missing now, with an event for each change."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection
from django.utils import timezone

from reconciliation.core.bars import instant
from reconciliation.core.gaps import OPEN_STATES, GapCause, GapChanges, GapState, KnownGap, Run, plan_changes
from reconciliation.core.slots import SlotGrid
from reconciliation.models import Gap, GapEvent
from reconciliation.services.market_data.marks import SeriesMark

_OPEN = [state.value for state in OPEN_STATES]
_GAPING = """
SELECT DISTINCT series_id FROM reconciliation_gap
WHERE cause = 'missing' AND state = ANY(%(states)s) AND ended_at >= %(since)s
"""
_KNOWN = """
SELECT * FROM reconciliation_gap
WHERE series_id = ANY(%(ids)s) AND cause = 'missing' AND state = ANY(%(states)s)
  AND ended_at >= %(since)s AND started_at <= %(until)s
ORDER BY started_at
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is missing of one series: ``runs`` are all of it between the positions ``stretch``, both included."""

    series: SeriesMark
    grid: SlotGrid
    runs: Sequence[Run]
    stretch: Run


@dataclass(slots=True)
class RecordedChanges:
    """How many rows of gaps were made, ended and changed, and the ids of new ones."""

    found: list[int] = field(default_factory=list)
    filled: int = 0
    changed: int = 0


def record_findings(findings: Iterable[Finding], *, actor: str = "", now: datetime | None = None) -> RecordedChanges:
    """Compare findings with the recorded gaps and write what changed, in the caller's transaction.

    Only gaps whose cause is that no bar came are touched. Whoever calls holds the rows
    of the series (``lock_marks``). ``now`` is when the look began that found them, so that what follows in the same
    look knows them as found.
    """
    findings = list(findings)
    rows = _open_gaps(findings)
    writer = _Writer(actor, now or timezone.now())
    for finding in findings:
        known = rows.get(finding.series.id, ())
        within = [gap for gap in known if _run(gap, finding.grid).first <= finding.stretch.last]
        within = [gap for gap in within if _run(gap, finding.grid).last >= finding.stretch.first]
        runs = _with_rest(finding, within)
        changes = plan_changes([KnownGap(gap.pk, _run(gap, finding.grid), GapState(gap.state)) for gap in within], runs)
        writer.add(finding, changes, {gap.pk: gap for gap in within})
    return writer.write()


def series_with_gaps(since: datetime) -> set[int]:
    """Return the series with a gap that is not over and reaches beyond ``since``."""
    with connection.cursor() as cursor:
        cursor.execute(_GAPING, {"since": since, "states": _OPEN})
        return {series_id for (series_id,) in cursor.fetchall()}


def _open_gaps(findings: Sequence[Finding]) -> dict[int, list[Gap]]:
    """Return, by series, the gaps that are not over and may lie in a stretch that was looked at."""
    looked_at = [finding for finding in findings if finding.stretch.last >= finding.stretch.first]
    if not looked_at:
        return {}
    found: dict[int, list[Gap]] = {}
    parameters = {
        "ids": [finding.series.id for finding in looked_at],
        "states": _OPEN,
        "since": instant(min(finding.grid.at(finding.stretch.first) for finding in looked_at)),
        "until": instant(max(finding.grid.at(finding.stretch.last) for finding in looked_at)),
    }
    for gap in Gap.objects.raw(_KNOWN, parameters):
        found.setdefault(gap.series_id, []).append(gap)
    return found


def _run(gap: Gap, grid: SlotGrid) -> Run:
    first = grid.position(int(gap.started_at.timestamp()))
    return Run(first, max(first, grid.position(int(gap.ended_at.timestamp()) + 1) - 1))


def _with_rest(finding: Finding, within: Sequence[Gap]) -> list[Run]:
    """Add what known gaps have outside the stretch that was looked at: nothing is known to have changed there."""
    runs = list(finding.runs)
    for gap in within:
        run = _run(gap, finding.grid)
        if run.first < finding.stretch.first:
            runs.append(Run(run.first, finding.stretch.first - 1))
        if run.last > finding.stretch.last:
            runs.append(Run(finding.stretch.last + 1, run.last))
    return _joined(runs)


def _joined(runs: Iterable[Run]) -> list[Run]:
    joined: list[Run] = []
    for run in sorted(runs):
        if joined and run.first <= joined[-1].last + 1:
            joined[-1] = Run(joined[-1].first, max(joined[-1].last, run.last))
        else:
            joined.append(run)
    return joined


class _Writer:
    """Collects the changes of many series and writes them in a few statements."""

    def __init__(self, actor: str, now: datetime) -> None:
        self._actor = actor
        self._now = now
        self._new: list[tuple[Gap, str, int | None]] = []
        self._changed: list[Gap] = []
        self._events: list[GapEvent] = []
        self._filled = 0

    def add(self, finding: Finding, changes: GapChanges, known: Mapping[int, Gap]) -> None:
        for run in changes.found:
            self._make(finding, run, GapState.FOUND, "found", None)
        for gap_id, run in changes.split:
            self._split(finding, run, known[gap_id])
        for gap_id in changes.filled:
            self._end(known[gap_id], GapState.FILLED, "filled", {})
            self._filled += 1
        for gap_id, into in changes.merged:
            self._end(known[gap_id], GapState.MERGED, "merged", {"into": into})
        for gap_id, run in changes.resized:
            gap = known[gap_id]
            self._place(gap, finding.grid, run)
            self._changed.append(gap)
            self._note(gap, gap.state, "resized", {})

    def write(self) -> RecordedChanges:
        Gap.objects.bulk_create([gap for gap, _, _ in self._new], batch_size=1000)
        for gap, what, origin in self._new:
            self._note(gap, "", what, {} if origin is None else {"from": origin})
        fields = ["started_at", "ended_at", "missing", "state", "closed_at"]
        Gap.objects.bulk_update(self._changed, fields, batch_size=500)
        GapEvent.objects.bulk_create(self._events, batch_size=1000)
        found = [gap.pk for gap, what, _ in self._new if what == "found"]
        return RecordedChanges(found, self._filled, len(self._changed))

    def _make(self, finding: Finding, run: Run, state: GapState, what: str, origin: int | None) -> Gap:
        gap = Gap(series_id=finding.series.id, state=state.value, cause=GapCause.MISSING.value, found_at=self._now)
        self._place(gap, finding.grid, run)
        self._new.append((gap, what, origin))
        return gap

    def _split(self, finding: Finding, run: Run, origin: Gap) -> None:
        """Make a part of a gap one of its own: it keeps who was asked, how long it is known and what was decided.

        The job that fills a gap stays with its first part, so the others are to be asked for anew.
        """
        state = GapState(origin.state)
        part = self._make(finding, run, GapState.FOUND if state is GapState.FILLING else state, "split", origin.pk)
        part.asked, part.reason, part.found_at = list(origin.asked), origin.reason, origin.found_at

    def _place(self, gap: Gap, grid: SlotGrid, run: Run) -> None:
        gap.started_at, gap.ended_at = instant(grid.at(run.first)), instant(grid.at(run.last))
        gap.missing = run.missing

    def _end(self, gap: Gap, state: GapState, what: str, detail: dict[str, int]) -> None:
        before, gap.state, gap.closed_at = gap.state, state.value, self._now
        self._changed.append(gap)
        self._note(gap, before, what, detail)

    def _note(self, gap: Gap, before: str, what: str, detail: dict[str, int]) -> None:
        self._events.append(
            GapEvent(
                gap=gap,
                from_state=before,
                to_state=gap.state,
                what=what,
                started_at=gap.started_at,
                ended_at=gap.ended_at,
                missing=gap.missing,
                detail=detail,
                actor=self._actor,
            )
        )
