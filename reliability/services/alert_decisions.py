"""What people say about an alert: that they have seen it, and that it is over."""

from collections.abc import Sequence

from django.db import transaction
from django.db.models.functions import Now

from reliability.core.alerts import AlertState
from reliability.core.conditions import get_condition
from reliability.core.errors import ReliabilityError
from reliability.models import Alert
from reliability.services.alerting import end_alerts
from reliability.services.audit import record_audit
from reliability.services.incidents import acknowledge_by_alert
from reliability.services.timeline import Happening, record_timeline

MOST_AT_ONCE = 1000
LONGEST_REASON = 500


def acknowledge_alerts(ids: Sequence[int], *, actor: str, reason: str = "") -> int:
    """Say that somebody has seen these alerts and works on them; returns how many were open and now are theirs.

    Raises:
        ReliabilityError: more than a thousand at once, or none of them is open; the message says what they are.
    """
    if len(ids) > MOST_AT_ONCE:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"At most {MOST_AT_ONCE} at once.")
    with transaction.atomic():
        rows = list(Alert.objects.select_for_update().filter(pk__in=ids, state=AlertState.OPEN).order_by("pk"))
        if not rows:
            raise ReliabilityError("VALIDATION_WRONG_STATE", _what_they_are(ids))
        Alert.objects.filter(pk__in=[row.pk for row in rows]).update(
            state=AlertState.ACKNOWLEDGED, acknowledged_at=Now(), acknowledged_by=actor[:150]
        )
        record_timeline(
            Happening("alert", row.pk, "acknowledged", row.state, AlertState.ACKNOWLEDGED, actor=actor, reason=reason)
            for row in rows
        )
        for incident_id in sorted({row.incident_id for row in rows if row.incident_id is not None}):
            acknowledge_by_alert(incident_id, actor)
        for row in rows:
            record_audit(actor, "acknowledge_alert", f"alert:{row.pk}", before={"state": row.state}, reason=reason)
    return len(rows)


def resolve_by_person(alert_id: int, *, actor: str, reason: str) -> None:
    """Resolve an alert that nothing but a person can end, or of which nothing is known any more.

    Raises:
        ReliabilityError: there is none, it is over, no reason is given, or its condition still holds: then it can be
            silenced instead.
    """
    reason = _checked(reason)
    with transaction.atomic():
        row = Alert.objects.select_for_update().filter(pk=alert_id).first()
        if row is None or row.state == AlertState.RESOLVED:
            raise ReliabilityError("VALIDATION_WRONG_STATE", _what_they_are([alert_id]))
        if not get_condition(row.condition).by_person and row.no_data_since is None:
            text = (
                f"It is over when {get_condition(row.condition).resolves}. To hear nothing of it meanwhile, silence it."
            )
            raise ReliabilityError("VALIDATION_WRONG_STATE", text)
        end_alerts([(row.condition, row.scope)], by=actor, reason=reason)
        record_audit(actor, "resolve_alert", f"alert:{row.pk}", before={"state": row.state}, reason=reason)


def _checked(reason: str) -> str:
    reason = reason.strip()[:LONGEST_REASON]
    if not reason:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Give a reason: it is kept with the decision.")
    return reason


def _what_they_are(ids: Sequence[int]) -> str:
    """Tell what became of alerts that cannot be acknowledged."""
    row = Alert.objects.filter(pk__in=ids).order_by("-pk").first()
    if row is None:
        return "There is no such alert."
    if row.state == AlertState.ACKNOWLEDGED:
        return f"{row.acknowledged_by} has acknowledged it already."
    return f"It is resolved: {row.resolved_reason or 'its condition is over'}."
