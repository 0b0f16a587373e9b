"""Reading which releases started when."""

from datetime import datetime
from typing import Any

from reliability.models import Release


def list_releases(since: datetime | None = None, limit: int = 50) -> list[Release]:
    """Return releases, the latest first; with ``since`` only those that started then or later."""
    rows = Release.objects.order_by("-id")
    return list((rows if since is None else rows.filter(started_at__gte=since))[:limit])


def release_facts(row: Release) -> dict[str, Any]:
    return {"name": row.name, "started_at": row.started_at}
