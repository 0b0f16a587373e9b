"""Reading silences and messages to people."""

from typing import Any

from django.utils import timezone

from reliability.models import Delivery, Silence


def list_silences() -> list[Silence]:
    """Return the silences in force, the one that ends first before the others."""
    return list(Silence.objects.filter(ends_at__gt=timezone.now()).order_by("ends_at")[:500])


def silence_facts(silence: Silence) -> dict[str, Any]:
    names = ("condition", "scope", "reason", "author", "confirmed_by", "starts_at", "ends_at", "ended_by")
    return {"id": silence.pk, **{name: getattr(silence, name) for name in names}}


def list_deliveries(
    *, state: str = "", incident_id: int | None = None, after_id: int | None = None, limit: int = 100
) -> list[Delivery]:
    """Return messages, newest first, with their attempts at hand."""
    rows = Delivery.objects.select_related("recipient").prefetch_related("attempts").order_by("-id")
    if state:
        rows = rows.filter(state=state)
    if incident_id is not None:
        rows = rows.filter(incident_id=incident_id)
    if after_id is not None:
        rows = rows.filter(pk__lt=after_id)
    return list(rows[:limit])
