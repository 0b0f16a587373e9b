"""Reading changes that take two persons. What is kept encrypted is never read here."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from reliability.core.changes import ChangeState
from reliability.core.errors import ReliabilityError
from reliability.models import ProposedChange


def list_changes(*, state: str = "", after_id: int | None = None, limit: int = 100) -> list[ProposedChange]:
    """Return changes, newest first; ``state`` of one state only."""
    rows = ProposedChange.objects.order_by("-id")
    if state:
        rows = rows.filter(state=state)
    if after_id is not None:
        rows = rows.filter(pk__lt=after_id)
    return list(rows[:limit])


def list_waiting_changes(limit: int) -> list[ProposedChange]:
    """Return what waits for a second person, soonest to expire first."""
    return list(_waiting().order_by("expires_at")[:limit])


def count_waiting_changes() -> int:
    return _waiting().count()


def find_change(pk: int) -> ProposedChange | None:
    return ProposedChange.objects.filter(pk=pk).first() if pk < 2**63 else None


def get_change_facts(pk: int) -> dict[str, Any]:
    """Return a change as plain data; raises ``ReliabilityError`` when there is none."""
    row = find_change(pk)
    if row is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no proposed change {pk}.")
    return change_facts(row)


def change_facts(row: ProposedChange) -> dict[str, Any]:
    """Return a change as plain data."""
    names = (
        "kind", "subject", "title", "content", "reason", "proposed_by", "proposed_at", "expires_at", "state",
        "decided_by", "decided_at", "decision_reason", "outcome", "proposal",
    )  # fmt: skip
    return {"id": row.pk, **{name: getattr(row, name) for name in names}}


def _waiting() -> QuerySet[ProposedChange]:
    return ProposedChange.objects.filter(state=ChangeState.PROPOSED, expires_at__gte=timezone.now())
