"""The partitions of the table of bars, made when they are needed: a month each.

Years of daily bars would make hundreds of nearly empty months. So a past year that daily bars are the first to reach is
one partition.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from django.db import connection, transaction
from django.utils import timezone

from reconciliation.core.timeframes import Timeframe

_LOCK = 7_103_001  # one process makes partitions at a time
_known: set[tuple[int, int]] = set()


def ensure_partitions(timeframe: Timeframe, stamps: Iterable[int]) -> None:
    """Make the partitions that bars at ``stamps`` need, in the caller's transaction. Costs nothing for known months.

    A month is believed to be there only after its transaction was committed, so a rollback is not remembered.
    """
    months = {(moment.year, moment.month) for moment in (datetime.fromtimestamp(stamp, UTC) for stamp in stamps)}
    missing = months - _known
    if not missing:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    there = set(list_partitions())
    for year, month in sorted(missing):
        if partition_name(year) in there or partition_name(year, month) in there:
            continue
        if timeframe.is_daily and _is_free_past_year(year, there):
            _create(partition_name(year), (year, 1), (year + 1, 1))
            there.add(partition_name(year))
        else:
            _create(partition_name(year, month), (year, month), (year + 1, 1) if month == 12 else (year, month + 1))
    transaction.on_commit(lambda: _known.update(missing))


def forget_partitions() -> None:
    """Ask the database again: a partition was dropped since, or a test or a restore took it back."""
    _known.clear()


def list_partitions() -> list[str]:
    """Return the names of the partitions, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'reconciliation_bar'::regclass ORDER BY c.relname"
        )
        return [name for (name,) in cursor.fetchall()]


def partition_name(year: int, month: int | None = None) -> str:
    return f"reconciliation_bar_y{year:04d}" + (f"m{month:02d}" if month else "")


def _is_free_past_year(year: int, there: Collection[str]) -> bool:
    months = {partition_name(year, month) for month in range(1, 13)}
    return year < timezone.now().year and months.isdisjoint(there)


def _create(name: str, first: tuple[int, int], following: tuple[int, int]) -> None:
    """Attach a finished table: that does not block readers, as creating a partition in place does."""
    start, end = (f"{year:04d}-{month:02d}-01 00:00+00" for year, month in (first, following))
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {name} (LIKE reconciliation_bar INCLUDING ALL)")
        cursor.execute(
            f"ALTER TABLE reconciliation_bar ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}')"
        )
