"""What people are not told of, and why: silenced, explained by another alert, muted, flapping, or made by a drill.

The rows stay, with the reason; only messages are withheld. Whatever asks whether to send one asks here.
"""

from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from reliability.core.alerts import FLAP_WINDOW, FLAPS_UNTIL_QUIET
from reliability.core.conditions import CONDITIONS, DRILL_EFFECTS
from reliability.core.incidents import IncidentKind
from reliability.core.taxonomy import ErrorSeverity
from reliability.models import Alert, AlertRule, Incident
from reliability.services.owners import owner_of

DRILL_GRACE = timedelta(minutes=5)  # so long after a drill what it made may last without being real

_ALWAYS_TOLD = [name for name, one in CONDITIONS.items() if one.must_notify]

_MARK_DRILLED = """
WITH drills AS (
    SELECT * FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[]) AS one (id, subject, began)
), wanted AS (
    SELECT alert.id, max(drills.id) AS drill FROM reliability_alert alert
    LEFT JOIN drills ON drills.subject = alert.subject AND drills.began <= alert.raised_at
                    AND alert.condition = ANY(%s)
    WHERE alert.resolved_at IS NULL GROUP BY alert.id
)
UPDATE reliability_alert alert SET drill_id = wanted.drill
FROM wanted WHERE alert.id = wanted.id AND alert.drill_id IS DISTINCT FROM wanted.drill
"""


def mark_drilled() -> None:
    """Mark what a drill made: alerts of its kinds about its broker, raised since it began and until just after it."""
    recent = Q(closed_at=None) | Q(closed_at__gt=Now() - DRILL_GRACE)
    drills = list(Incident.objects.filter(recent, kind=IncidentKind.DRILL).values_list("pk", "subject", "detected_at"))
    parameters: Any = [
        [pk for pk, _, _ in drills],
        [owner_of(subject) for _, subject, _ in drills],
        [at for _, _, at in drills],
        sorted(DRILL_EFFECTS),
    ]
    with connection.cursor() as cursor:
        cursor.execute(_MARK_DRILLED, parameters)


def loud_alerts(incident_id: int) -> QuerySet[Alert]:
    """Return the alerts of an incident, open or not, that people may be told of."""
    rows = Alert.objects.filter(incident_id=incident_id, inhibited_by=None, silence=None, drill=None)
    return rows.exclude(condition__in=_muted()).exclude(_flapping())


def is_quiet(incident_id: int) -> bool:
    """Return whether nothing of an incident may be told now: each open alert is kept quiet by something."""
    return not loud_alerts(incident_id).filter(resolved_at=None).exists()


def quiet_reason(alert: Alert) -> str:
    """Return why nobody is told of an alert, in words; empty if they are."""
    if alert.silence_id is not None:
        return f"silenced by silence {alert.silence_id}"
    if alert.inhibited_by_id is not None:
        return f"explained by alert {alert.inhibited_by_id}"
    if alert.drill_id is not None:
        return "made by a drill"
    if alert.condition in _muted():
        return "its condition is not told"
    if Alert.objects.filter(_flapping(), pk=alert.pk).exists():
        return f"it comes and goes: it came back {alert.flaps} times"
    return ""


def _muted() -> list[str]:
    return list(AlertRule.objects.filter(is_told=False).values_list("condition", flat=True))


def _flapping() -> Q:
    """What came back often, the last time a short while ago; once it stays, people are told again."""
    often = Q(flaps__gte=FLAPS_UNTIL_QUIET, flapped_at__gt=Now() - FLAP_WINDOW)
    return often & Q(severity__gt=ErrorSeverity.CRITICAL.rank) & ~Q(condition__in=_ALWAYS_TOLD)
