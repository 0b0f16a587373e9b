"""Write usable bars: new ones, and revisions whose old version is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from psycopg.errors import CheckViolation

from reconciliation.core.bars import FIELDS, Bar, BarQuality, BarValues, instant
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import BarRevision, BarSeries
from reconciliation.services.market_data.partitions import ensure_partitions, forget_partitions

_BATCH = 5000
_DAY_SECONDS = 86_400
_COLUMNS = ", ".join(FIELDS)

_INSERT = f"""
INSERT INTO reconciliation_bar (series_id, opened_at, revision, {_COLUMNS}, source, quality)
SELECT %(series)s, opened_at, 1, {_COLUMNS}, %(source)s, %(quality)s
FROM unnest(%(stamps)s::timestamptz[], %(open)s::numeric[], %(high)s::numeric[], %(low)s::numeric[],
            %(close)s::numeric[], %(volume)s::numeric[]) AS bar (opened_at, {_COLUMNS})
ON CONFLICT (series_id, opened_at) DO NOTHING
RETURNING opened_at
"""  # noqa: S608  # names of our own columns
_EXISTING = f"""
SELECT opened_at, revision, {_COLUMNS}, source, quality, received_at FROM reconciliation_bar
WHERE series_id = %s AND opened_at BETWEEN %s AND %s AND opened_at = ANY(%s)
FOR UPDATE
"""  # noqa: S608  # names of our own columns
_REVISE = f"""
UPDATE reconciliation_bar SET revision = revision + 1, received_at = statement_timestamp(),
    source = %s, quality = '{BarQuality.REVISED.value}', {", ".join(f"{name} = %s" for name in FIELDS)}
WHERE series_id = %s AND opened_at = %s
"""  # noqa: S608  # names of our own columns


class OnDifference(Enum):
    """What becomes of a bar that is there already with other numbers."""

    REVISE = "revise"  # the new numbers replace it, the old ones are kept as a revision
    REPORT = "report"  # it stays; the caller is told


@dataclass(frozen=True, slots=True)
class Difference:
    """A bar that came with other numbers than the recorded one, and both."""

    bar: Bar
    recorded: BarValues
    recorded_source: str


@dataclass(frozen=True, slots=True)
class Written:
    """Stamps of bars that are new and revised, how many were there already, and those that differ and stay."""

    new: tuple[int, ...]
    revised: tuple[int, ...]
    unchanged: int
    differing: tuple[Difference, ...]


def write_bars(
    series: BarSeries, bars: Sequence[Bar], *, source: str, quality: BarQuality, on_difference: OnDifference
) -> Written:
    """Write bars of one series, in the caller's transaction, at most one per stamp. Every bar must be usable."""
    new: list[int] = []
    revised: list[int] = []
    differing: list[Difference] = []
    unchanged = 0
    for start in range(0, len(bars), _BATCH):
        batch = bars[start : start + _BATCH]
        ensure_partitions(Timeframe(series.timeframe), (bar.stamp for bar in batch))
        fresh = _insert_anyhow(series, batch, source, quality)
        new.extend(fresh)
        if len(fresh) == len(batch):
            continue
        known = set(fresh)
        rest = [bar for bar in batch if bar.stamp not in known]
        others = _differing(series.pk, rest)
        unchanged += len(rest) - len(others)
        if on_difference is OnDifference.REPORT:
            differing.extend(_difference(bar, row) for bar, row in others)
        else:
            _revise(series.pk, others, source)
            revised.extend(bar.stamp for bar, _ in others)
    return Written(tuple(new), tuple(revised), unchanged, tuple(differing))


def _insert_anyhow(series: BarSeries, bars: Sequence[Bar], source: str, quality: BarQuality) -> list[int]:
    """Insert bars, also of a month whose partition another process dropped since this one saw it.

    That needs a savepoint, which live bars do without: no month goes before it is over for a day.
    """
    oldest = min(bar.stamp for bar in bars)
    if oldest > timezone.now().timestamp() - _DAY_SECONDS:
        return _insert(series.pk, bars, source, quality)
    try:
        with transaction.atomic():
            return _insert(series.pk, bars, source, quality)
    except IntegrityError as error:
        if not isinstance(error.__cause__, CheckViolation):
            raise
    forget_partitions()
    ensure_partitions(Timeframe(series.timeframe), (bar.stamp for bar in bars))
    return _insert(series.pk, bars, source, quality)


def _insert(series_id: int, bars: Sequence[Bar], source: str, quality: BarQuality) -> list[int]:
    parameters: dict[str, Any] = {name: [getattr(bar.values, name) for bar in bars] for name in FIELDS}
    parameters |= {"series": series_id, "source": source, "quality": quality.value}
    parameters["stamps"] = [instant(bar.stamp) for bar in bars]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, parameters)
        return [int(opened_at.timestamp()) for (opened_at,) in cursor.fetchall()]


Row = tuple[datetime, int, Decimal, Decimal, Decimal, Decimal, Decimal, str, str, datetime]


def _differing(series_id: int, bars: Sequence[Bar]) -> list[tuple[Bar, Row]]:
    """Return the recorded rows whose numbers are not those of ``bars``, locked."""
    moments = [instant(bar.stamp) for bar in bars]
    by_moment = dict(zip(moments, bars, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(_EXISTING, [series_id, min(moments), max(moments), moments])
        rows: list[Row] = cursor.fetchall()
    return [(by_moment[row[0]], row) for row in rows if BarValues(*row[2:7]) != by_moment[row[0]].values]


def _difference(bar: Bar, row: Row) -> Difference:
    return Difference(bar, BarValues(*row[2:7]), row[7])


def _revise(series_id: int, others: Sequence[tuple[Bar, Row]], source: str) -> None:
    if not others:
        return
    BarRevision.objects.bulk_create(
        [
            BarRevision(
                series_id=series_id,
                opened_at=row[0],
                revision=row[1],
                **dict(zip(FIELDS, row[2:7], strict=True)),
                source=row[7],
                quality=row[8],
                received_at=row[9],
                replaced_by=source,
            )
            for _, row in others
        ],
        batch_size=1000,
    )
    changes = [
        (source, *(getattr(bar.values, name) for name in FIELDS), series_id, instant(bar.stamp)) for bar, _ in others
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_REVISE, changes)
