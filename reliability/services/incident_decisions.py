"""What people decide about an incident: seen, contained, how bad, looked back at, reported."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from reliability.core.alerts import AlertState
from reliability.core.errors import ReliabilityError
from reliability.core.incidents import UNRESOLVED, IncidentState
from reliability.core.taxonomy import ErrorSeverity
from reliability.models import Alert, Incident
from reliability.services.alert_decisions import acknowledge_alerts
from reliability.services.audit import record_audit
from reliability.services.escalation import acknowledge_escalation
from reliability.services.timeline import Happening, record_timeline

REVIEW_FIELDS = ("root_cause", "impact", "lessons", "follow_up", "is_recurring")
REGULATORY_FIELDS = ("is_major", "reference", "reported_at", "cost", "discovery")


def acknowledge_incident(incident_id: int, *, actor: str, reason: str = "") -> None:
    """Say that somebody works on it: paging stops, its open alerts are theirs. Again: the reminder is answered.

    Raises:
        ReliabilityError: there is none, or it is over; the message says since when and why.
    """
    with transaction.atomic():
        incident = _lock(incident_id)
        if incident.state not in UNRESOLVED:
            raise _wrong_state(incident)
        before = incident.state
        if incident.state == IncidentState.OPEN:
            incident.state = IncidentState.ACKNOWLEDGED
            incident.acknowledged_at, incident.acknowledged_by = Now(), actor
        elif incident.acknowledged_by != actor:
            incident.acknowledged_by = actor
        incident.save(update_fields=["state", "acknowledged_at", "acknowledged_by"])
        Incident.objects.filter(pk=incident.pk, aware_at=None).update(aware_at=Now())
        _note(incident, "acknowledged", before, incident.state, actor, reason)
        acknowledge_escalation(incident.pk)
        open_ids = list(Alert.objects.filter(incident=incident, state=AlertState.OPEN).values_list("pk", flat=True))
        if open_ids:
            acknowledge_alerts(open_ids[:1000], actor=actor, reason=reason)


def mitigate_incident(incident_id: int, *, actor: str, reason: str) -> None:
    """Say that it does no harm any more although its cause is still there. Raises ``ReliabilityError``."""
    with transaction.atomic():
        incident = _lock(incident_id)
        if incident.state not in (IncidentState.OPEN, IncidentState.ACKNOWLEDGED):
            raise _wrong_state(incident)
        before, incident.state = incident.state, IncidentState.MITIGATED
        incident.mitigated_at = Now()
        incident.save(update_fields=["state", "mitigated_at"])
        _note(incident, "mitigated", before, incident.state, actor, _checked(reason))


def close_incident(incident_id: int, *, actor: str, reason: str) -> None:
    """Say that it was looked back at. Only what is resolved can be closed. Raises ``ReliabilityError``."""
    with transaction.atomic():
        incident = _lock(incident_id)
        if incident.state != IncidentState.RESOLVED:
            raise _wrong_state(incident)
        before, incident.state = incident.state, IncidentState.CLOSED
        incident.closed_at, incident.closed_by = Now(), actor
        incident.save(update_fields=["state", "closed_at", "closed_by"])
        _note(incident, "closed", before, incident.state, actor, _checked(reason))


def set_severity(incident_id: int, severity: ErrorSeverity, *, actor: str, reason: str) -> None:
    """Set how bad it is, whatever its alerts say from now on. Raises ``ReliabilityError``."""
    with transaction.atomic():
        incident = _lock(incident_id)
        before = incident.severity_name
        incident.severity, incident.severity_is_set = severity.rank, True
        incident.save(update_fields=["severity", "severity_is_set"])
        detail = {"from": before, "to": severity.value}
        _note(incident, "severity_set", incident.state, incident.state, actor, _checked(reason), detail)


def comment_incident(incident_id: int, *, actor: str, text: str) -> None:
    """Add a note to its timeline. Raises ``ReliabilityError``."""
    with transaction.atomic():
        incident = _lock(incident_id)
        _note(incident, "note", incident.state, incident.state, actor, _checked(text))


def write_review(incident_id: int, values: Mapping[str, Any], *, actor: str, reason: str) -> None:
    """Write fields of the review or of the regulatory record; each change is on record with what was there before.

    Raises:
        ReliabilityError: there is no such incident, or a field that is not one of these.
    """
    unknown = set(values) - {*REVIEW_FIELDS, *REGULATORY_FIELDS}
    if unknown or not values:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"Name fields of the review: {sorted(unknown)}.")
    with transaction.atomic():
        incident = _lock(incident_id)
        before = {name: _plain(getattr(incident, name)) for name in values}
        for name, value in values.items():
            setattr(incident, name, value)
        if values.get("is_major") is not None and incident.classified_at is None:
            incident.classified_at = Now()
        incident.save()
        after = {name: _plain(value) for name, value in values.items()}
        detail = {"before": before, "after": after}
        _note(incident, "reviewed", incident.state, incident.state, actor, _checked(reason), detail)


def _lock(incident_id: int) -> Incident:
    incident = Incident.objects.select_for_update().filter(pk=incident_id).first()
    if incident is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no incident {incident_id}.")
    return incident


def _wrong_state(incident: Incident) -> ReliabilityError:
    who = incident.acknowledged_by or incident.closed_by
    by = f" ({who})" if who else ""
    return ReliabilityError("VALIDATION_WRONG_STATE", f"{incident.number} is {incident.state} already{by}.")


def _checked(reason: str) -> str:
    reason = reason.strip()[:1000]
    if not reason:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Give a reason: it is kept in the timeline.")
    return reason


def _note(
    incident: Incident,
    kind: str,
    before: str,
    after: str,
    actor: str,
    reason: str,
    detail: dict[str, Any] | None = None,
) -> None:
    record_timeline([Happening("incident", incident.pk, kind, before, after, actor, reason, detail or {})])
    record_audit(
        actor, f"{kind}_incident", f"incident:{incident.pk}", before={"state": before}, after={"state": after},
        reason=reason,
    )  # fmt: skip


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | str) else str(value)
