"""Reading incidents: lists, one with all that belongs to it, how quick people were, and the regulatory record."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count
from django.utils import timezone

from reliability.core.incidents import UNRESOLVED, IncidentKind, rts24
from reliability.core.taxonomy import ErrorSeverity
from reliability.models import Alert, Incident, TimelineEntry

_MOST_MEASURED = 5_000
_INSTANTS = (
    "detected_at", "aware_at", "classified_at", "acknowledged_at", "mitigated_at", "resolved_at", "closed_at",
    "reported_at",
)  # fmt: skip
RECORD_COLUMNS = (
    "number", "kind", "severity", "state", "domain", "subject", "title", *_INSTANTS, "acknowledged_by", "closed_by",
    "discovery", "is_major", "reference", "root_cause", "impact", "cost", "is_recurring", "reopened",
)  # fmt: skip


def list_incidents(
    *,
    state: str = "",
    severity: str = "",
    domain: str = "",
    subject: str = "",
    kind: str = IncidentKind.REAL,
    after_id: int | None = None,
    limit: int = 100,
) -> list[Incident]:
    """Return incidents, newest first; ``state`` may be ``unresolved``; ``after_id`` goes on after a page's last."""
    rows = Incident.objects.filter(kind=kind).order_by("-id")
    if state == "unresolved":
        rows = rows.filter(state__in=UNRESOLVED)
    elif state:
        rows = rows.filter(state=state)
    if severity:
        rows = rows.filter(severity=ErrorSeverity(severity).rank)
    if domain:
        rows = rows.filter(domain=domain)
    if subject:
        rows = rows.filter(subject=subject)
    if after_id is not None:
        rows = rows.filter(pk__lt=after_id)
    return list(rows[:limit])


def list_unresolved_incidents(limit: int = 20) -> list[Incident]:
    """Return incidents that are not over, worst first, then newest; drills are left out."""
    rows = Incident.objects.filter(kind=IncidentKind.REAL, state__in=UNRESOLVED)
    return list(rows.order_by("severity", "-id")[:limit])


def count_unresolved_incidents() -> dict[str, int]:
    """Return how many incidents are not over, by severity, worst first."""
    rows = Incident.objects.filter(kind=IncidentKind.REAL, state__in=UNRESOLVED).order_by().values_list("severity")
    counts: dict[int, int] = dict(rows.annotate(incidents=Count("pk")))
    return {ErrorSeverity.of_rank(rank).value: counts[rank] for rank in sorted(counts)}


def list_incidents_since(since: datetime, limit: int = 30) -> list[Incident]:
    """Return the newest real incidents detected since an instant, to be marked on charts."""
    rows = Incident.objects.filter(kind=IncidentKind.REAL, detected_at__gte=since)
    return list(rows.order_by("-detected_at")[:limit])


def find_incident(incident_id: int) -> Incident | None:
    return Incident.objects.filter(pk=incident_id).first()


def list_incident_alerts(incident_id: int, limit: int = 200) -> list[Alert]:
    """Return the alerts of an incident, worst first."""
    return list(Alert.objects.filter(incident_id=incident_id).order_by("severity", "-id")[:limit])


# What a drill made looks like a real incident and is none; the alerts of each are one step into their index.
_TIMES = """
WITH newest AS (
    SELECT id, severity, detected_at, acknowledged_at, resolved_at
    FROM reliability_incident WHERE kind = %(kind)s AND detected_at >= %(since)s
    ORDER BY detected_at DESC LIMIT %(most)s
), measured AS (
    SELECT severity, extract(epoch FROM acknowledged_at - detected_at)::float8 AS seen,
           extract(epoch FROM resolved_at - detected_at)::float8 AS over
    FROM newest CROSS JOIN LATERAL (
        SELECT bool_and(drill_id IS NOT NULL) AS all_drilled FROM reliability_alert WHERE incident_id = newest.id
    ) AS alerts WHERE all_drilled IS NOT TRUE
)
SELECT severity,
       count(seen), percentile_disc(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY seen),
       count(over), percentile_disc(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY over)
FROM measured GROUP BY GROUPING SETS ((severity), ()) ORDER BY severity
"""


def response_times(days: int = 30, most: int = _MOST_MEASURED) -> dict[str, dict[str, Any]]:
    """Return how long acknowledging (MTTA) and resolving (MTTR) took, of the incidents of the last days.

    Drills do not count, nor do incidents all of whose alerts a drill made.
    Per severity and for ``all``: number, median and 90th percentile in seconds, None where there is nothing to measure.
    At most the newest ``most`` count.
    """
    values: dict[str, Any] = {
        "kind": IncidentKind.REAL.value,
        "since": timezone.now() - timedelta(days=days),
        "most": most,
    }
    with connection.cursor() as cursor:
        cursor.execute(_TIMES, values)
        rows = cursor.fetchall()
    return {
        "all" if rank is None else ErrorSeverity.of_rank(rank).value: {
            "mtta": _spread(seen_number, seen),
            "mttr": _spread(over_number, over),
        }
        for rank, seen_number, seen, over_number, over in rows
    }


def _spread(number: int, shares: list[float | None] | None) -> dict[str, Any]:
    median, p90 = shares or (None, None)
    return {"number": number, "median": median, "p90": p90}


def incident_facts(incident: Incident) -> dict[str, Any]:
    """Return an incident as plain data."""
    names = (
        "kind", "domain", "subject", "title", "state", "severity_is_set", *_INSTANTS, "changed_at", "acknowledged_by",
        "closed_by", "reopened", "root_cause", "impact", "lessons", "follow_up", "discovery", "is_major", "reference",
        "is_recurring",
    )  # fmt: skip
    facts = {name: getattr(incident, name) for name in names}
    cost = None if incident.cost is None else str(incident.cost)
    return {"id": incident.pk, "number": incident.number, "severity": incident.severity_name, **facts, "cost": cost}


def regulatory_record(incident: Incident) -> dict[str, Any]:
    """Return the record of one incident as a regulator reads it: instants in UTC to the microsecond, as RTS 24."""
    entries = TimelineEntry.objects.filter(subject_kind="incident", subject_id=incident.pk).order_by("id")
    return {
        **record_row(incident),
        "lessons": incident.lessons,
        "follow_up": incident.follow_up,
        "alerts": [
            {
                "condition": alert.condition,
                "scope": alert.scope,
                "severity": alert.severity_name,
                "message": alert.message,
                "occurrences": alert.occurrences,
                "raised_at": rts24(alert.raised_at),
                "resolved_at": _written(alert.resolved_at),
            }
            for alert in list_incident_alerts(incident.pk)
        ],
        "timeline": [
            {
                "sequence": entry.pk,
                "at": rts24(entry.recorded_at),
                "what": entry.kind,
                "from": entry.from_state,
                "to": entry.to_state,
                "who": entry.actor or "program",
                "why": entry.reason,
                "detail": entry.detail,
                "correlation_id": entry.correlation_id,
            }
            for entry in entries.iterator()
        ],
    }


def record_row(incident: Incident) -> dict[str, Any]:
    """Return one incident as one row of the register."""
    row = {name: _written(getattr(incident, name, None)) for name in RECORD_COLUMNS}
    return {**row, "severity": incident.severity_name}


def iterate_record(since: datetime, until: datetime) -> Iterator[Incident]:
    """Yield the incidents detected in a time, oldest first, a few at a time."""
    rows = Incident.objects.filter(kind=IncidentKind.REAL, detected_at__gte=since, detected_at__lt=until)
    return rows.order_by("id").iterator(chunk_size=500)


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return rts24(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)
