"""Incidents follow their alerts: new ones are grouped, the worst sets the severity, the last one over resolves it.

One leading process calls these, a few statements a round; people's decisions are in ``incident_decisions``.
"""

from collections import defaultdict
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from reliability.core.alerts import AlertState
from reliability.core.conditions import CONDITIONS
from reliability.core.incidents import GROUPING_WINDOW, LEAST_SEVERITY_RANK, UNRESOLVED, IncidentKind, IncidentState
from reliability.models import Alert, Incident
from reliability.services.escalation import acknowledge_escalation, begin_escalation, end_escalation
from reliability.services.quiet import mark_drilled
from reliability.services.timeline import Happening, record_timeline

_BATCH = 1_000

_ABOUT_INCIDENTS = [name for name, one in CONDITIONS.items() if not one.makes_incident]
_REASONS = [
    (name, other, CONDITIONS[other].explains_all) for name, one in CONDITIONS.items() for other in one.inhibited_by
]

# An alert is kept quiet by an open one about the same subject that says why already.
_INHIBIT = """
WITH reasons AS (SELECT * FROM unnest(%s::text[], %s::text[], %s::boolean[]) AS one (condition, because, everywhere)),
wanted AS (
    SELECT alert.id, min(cause.id) AS cause
    FROM reliability_alert alert
    LEFT JOIN reasons ON reasons.condition = alert.condition
    LEFT JOIN reliability_alert cause
      ON (cause.subject = alert.subject OR reasons.everywhere) AND cause.condition = reasons.because
         AND cause.resolved_at IS NULL
         AND cause.id <> alert.id
    WHERE alert.resolved_at IS NULL
    GROUP BY alert.id
)
UPDATE reliability_alert alert SET inhibited_by_id = wanted.cause
FROM wanted WHERE alert.id = wanted.id AND alert.inhibited_by_id IS DISTINCT FROM wanted.cause
"""

_WORSE = """
UPDATE reliability_incident incident SET severity = worst.severity
FROM (SELECT incident_id, min(severity) AS severity FROM reliability_alert
      WHERE resolved_at IS NULL AND incident_id IS NOT NULL GROUP BY incident_id) AS worst
WHERE incident.id = worst.incident_id AND worst.severity < incident.severity AND NOT incident.severity_is_set
RETURNING incident.id, worst.severity
"""

_OVER = """
UPDATE reliability_incident incident
SET state = 'resolved', resolved_at = clock_timestamp(), changed_at = clock_timestamp()
FROM (SELECT one.id, one.state FROM reliability_incident one
      WHERE one.state IN ('open', 'acknowledged', 'mitigated') AND one.kind = 'real'
        AND NOT EXISTS (SELECT FROM reliability_alert WHERE incident_id = one.id AND resolved_at IS NULL)
      ORDER BY one.id FOR UPDATE SKIP LOCKED) AS before
WHERE incident.id = before.id
RETURNING incident.id, before.state
"""


def follow_alerts() -> None:
    """Do all of it once, in a transaction each."""
    mark_inhibited()
    mark_drilled()
    while group_alerts() == _BATCH:
        pass
    raise_severities()
    resolve_quiet()


def mark_inhibited() -> None:
    with connection.cursor() as cursor:
        cursor.execute(_INHIBIT, [list(column) for column in zip(*_REASONS, strict=True)])


def group_alerts() -> int:
    """Give each new alert its incident: the open one about the same, one just resolved, or a new one."""
    with transaction.atomic():
        fresh = list(
            Alert.objects.filter(incident=None, resolved_at=None, severity__lte=LEAST_SEVERITY_RANK)
            .exclude(condition__in=_ABOUT_INCIDENTS)
            .select_related("inhibited_by")
            .order_by("id")[:_BATCH]
        )
        groups: dict[tuple[str, str], list[Alert]] = defaultdict(list)
        for alert in fresh:
            cause = alert.inhibited_by or alert
            groups[cause.domain, cause.subject].append(alert)
        for (domain, subject), alerts in sorted(groups.items()):
            incident = _incident_of(domain, subject, alerts)
            _join(incident, alerts)
    return len(fresh)


def raise_severities() -> None:
    """An incident is as bad as the worst of its alerts; only a person makes it milder."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_WORSE)
        worse = cursor.fetchall()
        record_timeline(Happening("incident", pk, "worse", detail={"severity": severity}) for pk, severity in worse)


def resolve_quiet() -> None:
    """An incident without open alerts is resolved; it is there to be looked back at until somebody closes it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_OVER)
        over = cursor.fetchall()
        record_timeline(
            Happening("incident", pk, "resolved", state, IncidentState.RESOLVED, reason="its alerts are over")
            for pk, state in over
        )
        for pk, _ in over:
            end_escalation(pk)


def open_drill(subject: str, title: str, domain: str) -> Incident:
    """Open an incident of kind drill: told apart everywhere, and nobody is paged for it."""
    incident = Incident.objects.create(
        kind=IncidentKind.DRILL, domain=domain, subject=subject, title=title, severity=5, detected_at=Now()
    )
    record_timeline([Happening("incident", incident.pk, "drill_began", to_state=IncidentState.OPEN)])
    return Incident.objects.get(pk=incident.pk)


def _incident_of(domain: str, subject: str, alerts: list[Alert]) -> Incident:
    same = Incident.objects.select_for_update().filter(kind=IncidentKind.REAL, domain=domain, subject=subject)
    found = same.filter(state__in=UNRESOLVED).first()
    if found is not None:
        return found
    recent = same.filter(state=IncidentState.RESOLVED, changed_at__gte=Now() - GROUPING_WINDOW).order_by("-id").first()
    if recent is not None:
        return _reopen(recent)
    worst = min(alerts, key=lambda alert: (alert.severity, alert.pk))
    incident = Incident.objects.create(
        domain=domain,
        subject=subject,
        title=f"{subject}: {worst.message}"[:300],
        severity=worst.severity,
        detected_at=min(alert.raised_at for alert in alerts),
    )
    record_timeline([Happening("incident", incident.pk, "opened", to_state=IncidentState.OPEN)])
    begin_escalation(incident)
    return incident


def _reopen(incident: Incident) -> Incident:
    before = incident.state
    incident.state, incident.resolved_at = IncidentState.OPEN, None
    incident.acknowledged_at, incident.acknowledged_by, incident.mitigated_at = None, "", None
    incident.reopened += 1
    incident.save()
    record_timeline([Happening("incident", incident.pk, "reopened", before, IncidentState.OPEN)])
    begin_escalation(incident)
    return incident


def _join(incident: Incident, alerts: list[Alert]) -> None:
    Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(incident=incident)
    Incident.objects.filter(pk=incident.pk).update(changed_at=Now())
    record_timeline(
        Happening("incident", incident.pk, "alert_joined", reason=alert.message, detail=_joined(alert))
        for alert in alerts
    )
    if all(alert.state == AlertState.ACKNOWLEDGED for alert in alerts) and incident.state == IncidentState.OPEN:
        acknowledge_by_alert(incident.pk, alerts[0].acknowledged_by)


def acknowledge_by_alert(incident_id: int, actor: str) -> None:
    """Let the acknowledgement of an alert be one of its incident, if that is open."""
    changed = Incident.objects.filter(pk=incident_id, state=IncidentState.OPEN).update(
        state=IncidentState.ACKNOWLEDGED, acknowledged_at=Now(), acknowledged_by=actor
    )
    if changed:
        Incident.objects.filter(pk=incident_id, aware_at=None).update(aware_at=Now())
        record_timeline(
            [
                Happening(
                    "incident", incident_id, "acknowledged", IncidentState.OPEN, IncidentState.ACKNOWLEDGED, actor=actor
                )
            ]
        )
        acknowledge_escalation(incident_id)


def _joined(alert: Alert) -> dict[str, Any]:
    return {"alert": alert.pk, "condition": alert.condition, "scope": alert.scope}
