"""Import a file of bars: everything or nothing.

The file is read twice: once to find every bad row and how bars are stamped, once to write. So a bad row is told
before anything is written, and memory grows by a few bytes a row only.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from django.db import connection, transaction
from django.utils import timezone

from reconciliation.core.bar_rules import BarFault, scan_faults, shape_faults
from reconciliation.core.bars import Bar, BarQuality, read_stamp, read_values, stamp_text
from reconciliation.core.gaps import GapPolicy
from reconciliation.core.slots import SlotGrid, Stamping, infer_stamping
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import BarSeries
from reconciliation.services.market_data.bar_files import FileRow, read_rows
from reconciliation.services.market_data.bar_store import OnDifference, write_bars
from reconciliation.services.market_data.calendars import Calendar, calendar_between
from reconciliation.services.market_data.gap_watch import settle_gaps
from reconciliation.services.market_data.questionable import Held, hold_bars
from reconciliation.services.market_data.releases import release_bars
from reconciliation.services.market_data.series import open_series
from reliability.core.errors import ReliabilityError
from reliability.services.audit import record_audit

_CHUNK = 5000
Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What to import, and as what."""

    path: Path
    symbol: str
    timeframe: Timeframe
    calendar: str
    policy: GapPolicy = GapPolicy.EVERY_SLOT


@dataclass(slots=True)
class ImportResult:
    """What became of the rows. ``outside`` bars are kept too: the calendar expects none there."""

    rows: int = 0
    new: int = 0
    unchanged: int = 0
    revised: int = 0
    outside: int = 0
    questionable: list[str] = field(default_factory=list)
    stamping: Stamping = field(default_factory=Stamping)


class BadRowsError(Exception):
    """Rows that cannot be imported, a sentence each; nothing was written."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems)
        self.problems = problems


@dataclass(slots=True)
class _Survey:
    """What the first reading found: the stamps in the order of the file, and whether that is the order of time."""

    stamps: "array[int]"
    in_order: bool


def import_bars(request: ImportRequest, *, actor: str, progress: Progress = lambda step, rows: None) -> ImportResult:
    """Import every row of a file in one transaction.

    Raises:
        BadRowsError: rows that cannot be read or cannot be true; nothing was written.
        ReliabilityError: the file, the calendar or the series does not fit; nothing was written.
    """
    survey = _survey(request, progress)
    if not survey.stamps:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"{request.path.name} holds no bars.")
    first, last = min(survey.stamps), max(survey.stamps)
    calendar = calendar_between(request.calendar, first, last)
    inferred = infer_stamping(request.timeframe, survey.stamps, calendar.sessions, calendar.zone)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '10min'")
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '10min'")
        series = open_series(request.symbol, request.timeframe, request.calendar, request.policy, inferred)
        result = _write(request, series, calendar, survey, progress)
        _audit(request, series, result, actor)
    return result


def _survey(request: ImportRequest, progress: Progress) -> _Survey:
    """Read the file once; raises ``BadRowsError`` with every bad row."""
    stamps = array("q")
    problems: list[str] = []
    in_order = True
    latest = timezone.now().timestamp()
    for row in _counted(read_rows(request.path), "checked", progress):
        problem, bar = _read(row)
        if bar is not None and bar.stamp > latest:
            problem = f"timestamp {stamp_text(bar.stamp)} is in the future"
        if bar is None or problem:
            problems.append(f"{row.place}: {problem}")
            continue
        in_order = in_order and (not stamps or bar.stamp > stamps[-1])
        stamps.append(bar.stamp)
    if not in_order and not problems:
        problems = _duplicates(request.path, stamps)
    if problems:
        raise BadRowsError(problems)
    return _Survey(stamps, in_order)


def _counted(rows: Iterable[FileRow], step: str, progress: Progress) -> Iterator[FileRow]:
    number = 0
    for number, row in enumerate(rows, 1):
        if number % 50_000 == 0:
            progress(step, number)
        yield row
    progress(step, number)


def _read(row: FileRow) -> tuple[str, Bar | None]:
    """Return the bar of a row, or what is wrong with the row."""
    if row.problem:
        return row.problem, None
    try:
        bar = Bar(read_stamp(row.fields["timestamp"]), read_values(row.fields))
    except ValueError as error:
        return str(error), None
    faults = shape_faults(bar.values)
    return ("; ".join(_SENTENCES[fault] for fault in faults), bar)


_SENTENCES = {
    BarFault.NOT_FINITE: "a price or the volume is not finite",
    BarFault.NOT_POSITIVE: "a price is not above zero",
    BarFault.NEGATIVE_VOLUME: "volume is negative",
    BarFault.HIGH_TOO_LOW: "high is below another price of the bar",
    BarFault.LOW_TOO_HIGH: "low is above another price of the bar",
}


def _duplicates(path: Path, stamps: "array[int]") -> list[str]:
    """Return a sentence for each row whose stamp an earlier row has."""
    if len(set(stamps)) == len(stamps):
        return []
    problems = []
    seen: dict[int, str] = {}
    for row, stamp in zip(read_rows(path), stamps, strict=True):
        if stamp in seen:
            problems.append(f"{row.place}: timestamp {stamp_text(stamp)} is that of {seen[stamp]} too")
        seen.setdefault(stamp, row.place)
    return problems


def _write(
    request: ImportRequest, series: BarSeries, calendar: Calendar, survey: _Survey, progress: Progress
) -> ImportResult:
    result = ImportResult(rows=len(survey.stamps), stamping=series.stamping)
    grid = calendar.grid(request.timeframe, series.stamping)
    bars = (bar for row in _counted(read_rows(request.path), "written", progress) if (bar := _read(row)[1]))
    ordered: Iterable[Bar] = bars if survey.in_order else sorted(bars, key=lambda bar: bar.stamp)
    judged = scan_faults(ordered)
    changed: list[int] = []
    while chunk := list(islice(judged, _CHUNK)):
        changed.extend(_write_chunk(series, grid, chunk, result))
    settle_gaps(series.pk, changed, actor="import")
    release_bars(series, changed)
    return result


def _write_chunk(
    series: BarSeries, grid: SlotGrid, chunk: list[tuple[Bar, list[BarFault]]], result: ImportResult
) -> tuple[int, ...]:
    usable, held = [], []
    for bar, faults in chunk:
        expected = grid.expects(bar.stamp)
        if not expected and grid.step < 86_400 and (bar.stamp - series.stamp_offset) % grid.step:
            faults = [*faults, BarFault.OFF_GRID]
        if faults:
            held.append(Held(bar, faults))
            result.questionable.append(f"{stamp_text(bar.stamp)}: {', '.join(faults)}")
        else:
            usable.append(bar)
            result.outside += not expected
    written = write_bars(
        series, usable, source="import", quality=BarQuality.IMPORTED, on_difference=OnDifference.REVISE
    )
    hold_bars(series, held, source="import")
    result.new += len(written.new)
    result.revised += len(written.revised)
    result.unchanged += written.unchanged
    return written.new + written.revised


def _audit(request: ImportRequest, series: BarSeries, result: ImportResult, actor: str) -> None:
    record_audit(
        actor,
        "bars.import",
        f"series:{series.pk}",
        after={
            "file": request.path.name,
            "symbol": series.symbol,
            "timeframe": series.timeframe,
            "calendar": series.calendar,
            "rows": result.rows,
            "new": result.new,
            "revised": result.revised,
            "unchanged": result.unchanged,
            "questionable": len(result.questionable),
        },
    )
