"""Reading what waits for a person."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Min

from reliability.core.interventions import UNDECIDED
from reliability.models import Intervention


def list_interventions(*, state: str = "", after_id: int | None = None, limit: int = 100) -> list[Intervention]:
    """Return questions, newest first; ``state`` may be ``undecided``: then by due time, the most urgent first."""
    if state == "undecided":
        rows = Intervention.objects.filter(state__in=UNDECIDED)
        return list((rows if after_id is None else rows.filter(pk__lt=after_id)).order_by("due_at")[:limit])
    rows = Intervention.objects.order_by("-id")
    if state:
        rows = rows.filter(state=state)
    if after_id is not None:
        rows = rows.filter(pk__lt=after_id)
    return list(rows[:limit])


def count_undecided(*, without: Sequence[str] = ()) -> int:
    """Return how many questions are undecided, ``without`` those of some kinds."""
    return Intervention.objects.filter(state__in=UNDECIDED).exclude(kind__in=without).count()


def oldest_undecided_at() -> datetime | None:
    """Return since when the oldest undecided question waits."""
    rows = Intervention.objects.filter(state__in=UNDECIDED)
    oldest: datetime | None = rows.aggregate(oldest=Min("created_at"))["oldest"]
    return oldest


def find_intervention(pk: int) -> Intervention | None:
    return Intervention.objects.filter(pk=pk).first()


def find_open_intervention(kind: str, subject: str) -> Intervention | None:
    return Intervention.objects.filter(kind=kind, subject=subject, state__in=UNDECIDED).first()


def list_open_subjects(kind: str) -> list[str]:
    """Return what undecided questions of a kind are about."""
    return list(Intervention.objects.filter(kind=kind, state__in=UNDECIDED).values_list("subject", flat=True))


def intervention_facts(row: Intervention) -> dict[str, Any]:
    """Return a question as plain data."""
    names = (
        "kind", "subject", "title", "evidence", "choices", "state", "due_at", "created_at", "acknowledged_by",
        "acknowledged_at", "claimed_by", "claimed_until", "choice", "value", "reason", "proposed_by", "proposed_at",
        "decided_by", "decided_at", "outcome", "proposal",
    )  # fmt: skip
    return {"id": row.pk, **{name: getattr(row, name) for name in names}}
