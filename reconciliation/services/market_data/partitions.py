"""The monthly partitions of the table of bars, made when they are needed."""

from collections.abc import Iterable
from datetime import UTC, datetime

from django.db import connection, transaction

_LOCK = 7_103_001  # one process makes partitions at a time
_known: set[tuple[int, int]] = set()


def ensure_partitions(stamps: Iterable[int]) -> None:
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
            if partition_name(year, month) not in there:
                _create(year, month)
    transaction.on_commit(lambda: _known.update(missing))


def forget_partitions() -> None:
    """Ask the database again; for tests, whose transactions are rolled back, and after a restore."""
    _known.clear()


def list_partitions() -> list[str]:
    """Return the names of the partitions, oldest month first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'reconciliation_bar'::regclass ORDER BY c.relname"
        )
        return [name for (name,) in cursor.fetchall()]


def partition_name(year: int, month: int) -> str:
    return f"reconciliation_bar_y{year:04d}m{month:02d}"


def _create(year: int, month: int) -> None:
    """Attach a finished table: that does not block readers, as creating a partition in place does."""
    name = partition_name(year, month)
    following = (year + 1, 1) if month == 12 else (year, month + 1)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {name} (LIKE reconciliation_bar INCLUDING ALL)")
        cursor.execute(
            f"ALTER TABLE reconciliation_bar ATTACH PARTITION {name} FOR VALUES "
            f"FROM ('{year:04d}-{month:02d}-01 00:00+00') TO ('{following[0]:04d}-{following[1]:02d}-01 00:00+00')"
        )
