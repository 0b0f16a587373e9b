"""Keep a partition ready for each coming day of errors, and drop the days that are old enough."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar

from django.db import connection

from reliability.conf import get_conf
from reliability.core.jobs import ClaimedJob, Disposition, Done, Performed
from reliability.services.audit import record_audit
from reliability.services.jobs.kinds import JobKind, Prepared

PARTITIONS_KIND = "errors.partitions"
DAYS_AHEAD = 7
_TABLE = "reliability_errorevent"
_LIST = """
SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
WHERE inhparent = 'reliability_errorevent'::regclass AND child.relname <> 'reliability_errorevent_default'
"""


def ensure_partitions(today: date) -> list[str]:
    """Make the partitions of today and the next week that are missing; returns their names.

    Errors of a day without a partition go into the default one and are not lost; such a day then stays there.
    """
    made = []
    known = set(list_partitions())
    for offset in range(DAYS_AHEAD + 1):
        day = today + timedelta(days=offset)
        name = f"{_TABLE}_{day:%Y%m%d}"
        if name in known:
            continue
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM reliability_errorevent_default"
                " WHERE recorded_at >= %s AND recorded_at < %s)",
                [day, day + timedelta(days=1)],
            )
            if cursor.fetchone()[0]:
                continue
            bounds = f"FROM ('{day:%Y-%m-%d} 00:00:00+00') TO ('{day + timedelta(days=1):%Y-%m-%d} 00:00:00+00')"
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {_TABLE} FOR VALUES {bounds}")
        made.append(name)
    return made


def drop_partitions(today: date, days: int) -> list[str]:
    """Drop the days that ended more than ``days`` ago, on record; groups and counts per minute stay."""
    oldest = today - timedelta(days=days)
    gone = [name for name in list_partitions() if name < f"{_TABLE}_{oldest:%Y%m%d}"]
    for name in gone:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE {name}")
        record_audit("retention", "drop_error_partition", name, reason=f"older than {days} days")
    return gone


def list_partitions() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(_LIST)
        return sorted(row[0] for row in cursor.fetchall())


class ErrorPartitionsJob(JobKind):
    """On schedule: the partitions of the coming week, and no more than the days that are kept."""

    name: ClassVar[str] = PARTITIONS_KIND
    lane: ClassVar[str] = "default"

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        today = datetime.now(UTC).date()
        ensure_partitions(today)
        drop_partitions(today, get_conf().error_days)
        return {job.id: Done() for job in jobs}

    async def perform(self, request: object) -> None:
        raise AssertionError("there is no call: prepare does it all")

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        raise AssertionError("there is no call: prepare does it all")
