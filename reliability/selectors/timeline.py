"""Reading what happened to anything, newest first."""

from collections.abc import Collection

from reliability.models import TimelineEntry

_LOOKED_AT = 200  # the end of the timeline alone is read, however few of it somebody may see


def list_latest_entries(subject_kinds: Collection[str], limit: int) -> list[TimelineEntry]:
    """Return the newest entries about subjects of these kinds, among the last ones of all kinds."""
    latest = TimelineEntry.objects.order_by("-id")[:_LOOKED_AT]
    return [entry for entry in latest if entry.subject_kind in subject_kinds][:limit]
