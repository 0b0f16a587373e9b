"""A history of incidents and errors as years leave it, written by PostgreSQL itself."""

_FILL = (
    """
    INSERT INTO reliability_incident (kind, domain, subject, title, state, severity, severity_is_set, detected_at,
        changed_at, acknowledged_at, acknowledged_by, resolved_at, closed_by, reopened, root_cause, impact, lessons,
        follow_up, discovery, reference, is_recurring)
    SELECT 'real', 'broker', 'sim-' || number, 'sim-' || number || ': the order stream is down', 'closed',
        1 + number %% 4, false, at, at, at + interval '40 s', 'night', at + interval '300 s', 'night', 0, '', '', '',
        '', 'alert', '', false
    FROM (SELECT number, clock_timestamp() - make_interval(secs => 300.0 * (%(incidents)s - number)) AS at
          FROM generate_series(1, %(incidents)s) AS number) AS made
    """,
    """
    INSERT INTO reliability_alert (condition, scope, subject, domain, severity, state, message, details,
        correlation_id, occurrences, flaps, incident_id, raised_at, last_raised_at, clear_reason, acknowledged_by,
        resolved_at, resolved_by, resolved_reason)
    SELECT 'stream.silent', 'account:' || subject, subject, 'broker', severity, 'resolved', title, '{}', '', 1, 0, id,
        detected_at, detected_at, '', 'night', resolved_at, '', 'up' FROM reliability_incident
    """,
    """
    INSERT INTO reliability_timelineentry (subject_kind, subject_id, kind, from_state, to_state, actor, reason, detail,
        correlation_id, recorded_at)
    SELECT 'incident', incident.id, step.kind, '', '', '', '', '{}', '', incident.detected_at
    FROM reliability_incident incident,
        unnest(ARRAY['opened', 'alert_joined', 'acknowledged', 'resolved', 'closed']) AS step (kind)
    """,
    """
    INSERT INTO reliability_errorgroup (title, code, category, severity, source, operation, kind, place, state, count,
        stored, first_seen_at, last_seen_at, regressions, decided_by, decided_reason)
    SELECT 'connection to * refused', 'NETWORK_CONNECT_REFUSED', 'network', 2, 'sim-' || number, 'submit', '', '',
        'open', 500, 500, clock_timestamp(), clock_timestamp() - make_interval(secs => number), 0, '', ''
    FROM generate_series(1, 2000) AS number
    """,
    """
    INSERT INTO reliability_errorfingerprint (fingerprint, version, group_id)
    SELECT md5(id::text), 1, id FROM reliability_errorgroup ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO reliability_errorevent (fingerprint, occurred_at, source, operation, code, category, severity, kind,
        place, message, correlation_id, subject, details)
    SELECT md5(((SELECT min(id) FROM reliability_errorgroup) + number %% 2000)::text), clock_timestamp(),
        'sim-' || number %% 2000, 'submit', 'NETWORK_CONNECT_REFUSED', 'network', 2, '', '',
        'connection to 10.0.0.7 refused', 'c' || number, '', '{}'
    FROM generate_series(%(start)s, %(end)s) AS number
    """,
    "ANALYZE",
)
_CHUNK = 100_000


def fill(incidents: int, errors: int) -> None:
    """Write so many incidents, each with an alert and five entries, and so many errors in 2,000 groups."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for statement in _FILL[:5]:
            cursor.execute(statement, {"incidents": incidents} if "%(incidents)s" in statement else None)
        for start in range(1, errors + 1, _CHUNK):
            cursor.execute(_FILL[5], {"start": start, "end": min(start + _CHUNK - 1, errors)})
        cursor.execute(_FILL[6])
