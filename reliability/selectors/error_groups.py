"""Reading groups of errors, and the errors in them."""

from datetime import UTC, datetime
from typing import Any

from django.db.models import Sum
from django.db.models.functions import TruncHour

from reliability.core.catalog import CATALOG
from reliability.core.error_groups import GroupState
from reliability.core.taxonomy import ErrorSeverity
from reliability.models import ErrorEvent, ErrorFingerprint, ErrorGroup, ErrorRollup


def list_groups(
    *,
    state: str = "",
    code: str = "",
    source: str = "",
    owner: str = "",
    after_id: int | None = None,
    limit: int = 100,
) -> list[ErrorGroup]:
    """Return kinds of errors, newest first; merged ones only when asked for."""
    rows = ErrorGroup.objects.select_related("owner").order_by("-id")
    rows = rows.filter(state=state) if state else rows.exclude(state=GroupState.MERGED)
    if code:
        rows = rows.filter(code=code)
    if source:
        rows = rows.filter(source=source)
    if owner:
        rows = rows.filter(owner__username=owner)
    if after_id is not None:
        rows = rows.filter(pk__lt=after_id)
    return list(rows[:limit])


def find_group(group_id: int) -> ErrorGroup | None:
    return ErrorGroup.objects.select_related("owner").filter(pk=group_id).first()


def list_group_events(group_id: int, limit: int = 50) -> list[ErrorEvent]:
    """Return the newest errors of a group that were kept whole."""
    prints = list(ErrorFingerprint.objects.filter(group_id=group_id).values_list("pk", flat=True))
    return list(ErrorEvent.objects.filter(fingerprint__in=prints).order_by("-id")[:limit])


def errors_by_hour(since: datetime) -> list[tuple[datetime, str, str, int]]:
    """Return exact counts since an instant: the hour's beginning, category, code and number, oldest first."""
    rows = ErrorRollup.objects.filter(minute__gte=since).annotate(hour=TruncHour("minute", tzinfo=UTC))
    totals = rows.order_by().values_list("hour", "category", "code").annotate(number=Sum("errors"))
    return list(totals.order_by("hour", "category", "code"))


def group_facts(group: ErrorGroup) -> dict[str, Any]:
    """Return a group as plain data."""
    definition = CATALOG.get(group.code)
    return {
        "id": group.pk,
        "title": group.title,
        "code": group.code,
        "category": group.category,
        "severity": ErrorSeverity.of_rank(group.severity).value,
        "source": group.source,
        "operation": group.operation,
        "kind": group.kind,
        "place": group.place,
        "state": group.state,
        "count": group.count,
        "stored": group.stored,
        "first_seen_at": group.first_seen_at,
        "last_seen_at": group.last_seen_at,
        "regressions": group.regressions,
        "snoozed_until": group.snoozed_until,
        "snoozed_count": group.snoozed_count,
        "snoozed_times": group.snoozed_times,
        "snoozed_window_seconds": group.snoozed_window_seconds,
        "resolved_in": group.resolved_in,
        "owner": group.owner.get_username() if group.owner else "",
        "decided_by": group.decided_by,
        "decided_at": group.decided_at,
        "decided_reason": group.decided_reason,
        "merged_into": group.merged_into_id,
        "runbook": definition.runbook if definition else "",
        "runbook_name": f"error:{group.code}" if definition else "",
    }


def event_facts(event: ErrorEvent) -> dict[str, Any]:
    """Return one error as plain data."""
    return {
        "id": event.pk,
        "occurred_at": event.occurred_at,
        "code": event.code,
        "kind": event.kind,
        "place": event.place,
        "message": event.message,
        "correlation_id": event.correlation_id,
        "subject": event.subject,
        "details": event.details,
    }
