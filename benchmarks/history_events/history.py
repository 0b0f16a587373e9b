"""Weeks of errors as an installation has them: events by day, counts per minute, samples of service levels."""

from datetime import UTC, datetime, timedelta
from typing import Any

SOURCES = 6
CATEGORIES = ("network", "timeout", "rate_limit", "broker", "validation", "system")
SERVICES = ("orders", "cancels", "look_ups", "reads")
_CHUNK = 200_000

_EVENTS = """
INSERT INTO reliability_errorevent (fingerprint, occurred_at, recorded_at, source, operation, code, category, severity,
    kind, place, message, correlation_id, subject, details)
SELECT md5((number %% 400)::text), at, at, 'sim-' || number %% %(sources)s, 'submit', 'CODE_' || number %% 40,
    (%(categories)s::text[])[1 + number %% cardinality(%(categories)s::text[])], 2 + number %% 3, 'TimeoutError',
    'place', 'connection to the broker timed out after 5.0 s', md5(number::text), '',
    '{"attempts": 1, "http_status": 503}'
FROM (SELECT number, %(start)s::timestamptz + number * (interval '1 day' / %(day)s) AS at
      FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number) AS made
"""
_ROLLUPS = """
INSERT INTO reliability_errorrollup (minute, source, operation, category, code, errors)
SELECT date_trunc('minute', recorded_at), source, operation, category, code, count(*) FROM reliability_errorevent
GROUP BY 1, 2, 3, 4, 5
"""
_SAMPLES = """
INSERT INTO reliability_servicesample (service, subject, at, good, bad)
SELECT service, 'sim-' || subject, %(now)s::timestamptz - age.age,
       1000000 - extract(epoch FROM age.age)::bigint / 5, 2000 - extract(epoch FROM age.age)::bigint / 2600
FROM unnest(%(services)s::text[]) AS service, generate_series(0, %(sources)s - 1) AS subject,
     (SELECT make_interval(secs => 10 * n) AS age FROM generate_series(0, 719) n
      UNION ALL SELECT make_interval(secs => 7200 + 60 * n) FROM generate_series(0, 5639) n
      UNION ALL SELECT make_interval(secs => 345600 + 900 * n) FROM generate_series(0, 2500) n) AS age
"""


def fill(events: int, days: int) -> dict[str, Any]:
    """Write so many events over so many days up to now, with partitions; returns sizes in bytes and rows."""
    from django.db import connection

    from reliability.services.error_partitions import ensure_partitions
    from reliability.services.service_levels import ensure_levels

    now = datetime.now(UTC)
    start = now - timedelta(days=days)
    for offset in range(0, days + 1, 8):
        ensure_partitions((start + timedelta(days=offset)).date())
    per_day = max(1, events // days)
    facts: dict[str, Any] = {"start": start, "day": per_day, "sources": SOURCES, "categories": list(CATEGORIES)}
    ensure_levels()
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for first in range(0, events, _CHUNK):
            cursor.execute(_EVENTS, {**facts, "first": first, "last": min(first + _CHUNK, events) - 1})
        cursor.execute(_ROLLUPS)
        cursor.execute(_SAMPLES, {"now": now, "services": list(SERVICES), "sources": SOURCES})
        cursor.execute("VACUUM ANALYZE")
        cursor.execute(
            "SELECT sum(pg_table_size(inhrelid))::bigint, sum(pg_indexes_size(inhrelid))::bigint FROM pg_inherits "
            "WHERE inhparent = 'reliability_errorevent'::regclass"
        )
        tables, indexes = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM reliability_errorrollup")
        rollups = cursor.fetchone()[0]
        cursor.execute("SELECT count(*) FROM reliability_servicesample")
        return {"events_bytes": tables, "index_bytes": indexes, "rollups": rollups, "samples": cursor.fetchone()[0]}
