"""Keep a partition ready for each coming day of errors."""

from datetime import date, timedelta

from django.db import connection, transaction

DAYS_AHEAD = 7
_TABLE = "reliability_errorevent"
_LIST = """
SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
WHERE inhparent = 'reliability_errorevent'::regclass AND child.relname <> 'reliability_errorevent_default'
"""
_HAS_STRAYS = """
SELECT EXISTS (SELECT FROM reliability_errorevent_default WHERE recorded_at >= %s AND recorded_at < %s)
"""
_SET_ASIDE = """
ALTER TABLE reliability_errorevent DETACH PARTITION reliability_errorevent_default;
ALTER TABLE reliability_errorevent_default RENAME TO reliability_errorevent_strays;
"""
_BRING_BACK = """
CREATE TABLE reliability_errorevent_default PARTITION OF reliability_errorevent DEFAULT;
INSERT INTO reliability_errorevent SELECT * FROM reliability_errorevent_strays;
DROP TABLE reliability_errorevent_strays;
"""


def ensure_partitions(today: date) -> list[str]:
    """Make the partitions of today and the next week that are missing; returns their names.

    Errors of a day without a partition went into the default one: they move into their day's, so that they go with it.
    """
    made = []
    known = set(list_partitions())
    for offset in range(DAYS_AHEAD + 1):
        day = today + timedelta(days=offset)
        name = f"{_TABLE}_{day:%Y%m%d}"
        if name not in known:
            _make(name, day)
            made.append(name)
    return made


def _make(name: str, day: date) -> None:
    bounds = f"FROM ('{day:%Y-%m-%d} 00:00:00+00') TO ('{day + timedelta(days=1):%Y-%m-%d} 00:00:00+00')"
    create = f"CREATE TABLE {name} PARTITION OF {_TABLE} FOR VALUES {bounds}"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_HAS_STRAYS, [day, day + timedelta(days=1)])
        if cursor.fetchone()[0]:
            cursor.execute(_SET_ASIDE + create + ";" + _BRING_BACK)
        else:
            cursor.execute(create)


def list_partitions() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(_LIST)
        return sorted(row[0] for row in cursor.fetchall())
