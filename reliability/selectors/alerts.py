"""Reading alerts: lists go on after an id, so that a long history costs nothing."""

from typing import Any

from django.db.models import Count

from reliability.core.conditions import CONDITIONS
from reliability.core.taxonomy import ErrorSeverity
from reliability.models import Alert, TimelineEntry


def list_alerts(
    *,
    state: str = "",
    condition: str = "",
    scope: str = "",
    severity: str = "",
    after_id: int | None = None,
    limit: int = 100,
) -> list[Alert]:
    """Return alerts, newest first; ``state`` may be ``unresolved``; ``after_id`` goes on after the last of a page."""
    rows = Alert.objects.order_by("-id")
    if state == "unresolved":
        rows = rows.filter(resolved_at=None)
    elif state:
        rows = rows.filter(state=state)
    if condition:
        rows = rows.filter(condition=condition)
    if scope:
        rows = rows.filter(scope=scope)
    if severity:
        rows = rows.filter(severity=ErrorSeverity(severity).rank)
    if after_id is not None:
        rows = rows.filter(pk__lt=after_id)
    return list(rows[:limit])


def list_unresolved(limit: int = 50) -> list[Alert]:
    """Return alerts that are not over, worst first, then newest."""
    return list(Alert.objects.filter(resolved_at=None).order_by("severity", "-id")[:limit])


def count_unresolved() -> dict[str, int]:
    """Return how many alerts are not over, by severity, worst first; severities without any are left out."""
    rows = Alert.objects.filter(resolved_at=None).values_list("severity").annotate(number=Count("pk"))
    return {ErrorSeverity.of_rank(rank).value: number for rank, number in rows.order_by("severity")}


def find_alert(alert_id: int) -> Alert | None:
    return Alert.objects.filter(pk=alert_id).first()


def alert_facts(alert: Alert) -> dict[str, Any]:
    """Return an alert as plain data."""
    condition = CONDITIONS.get(alert.condition)
    return {
        "id": alert.pk,
        "condition": alert.condition,
        "scope": alert.scope,
        "domain": alert.domain,
        "severity": ErrorSeverity.of_rank(alert.severity).value,
        "state": alert.state,
        "message": alert.message,
        "summary": condition.summary if condition else "",
        "runbook": condition.runbook if condition else "",
        "details": alert.details,
        "occurrences": alert.occurrences,
        "flaps": alert.flaps,
        "silence": alert.silence_id,
        "inhibited_by": alert.inhibited_by_id,
        "drill": alert.drill_id,
        "correlation_id": alert.correlation_id,
        "raised_at": alert.raised_at,
        "last_raised_at": alert.last_raised_at,
        "clears_at": alert.clears_at,
        "no_data": alert.no_data_since is not None,
        "no_data_since": alert.no_data_since,
        "no_data_reason": alert.no_data_reason,
        "acknowledged_at": alert.acknowledged_at,
        "acknowledged_by": alert.acknowledged_by,
        "resolved_at": alert.resolved_at,
        "resolved_by": alert.resolved_by,
        "resolved_reason": alert.resolved_reason,
    }


def list_timeline(subject_kind: str, subject_id: int, limit: int = 500) -> list[dict[str, Any]]:
    """Return what happened to one alert, incident or other subject, oldest first."""
    fields = ("id", "kind", "from_state", "to_state", "actor", "reason", "detail", "correlation_id", "recorded_at")
    rows = TimelineEntry.objects.filter(subject_kind=subject_kind, subject_id=subject_id).order_by("id")
    return list(rows.values(*fields)[:limit])
