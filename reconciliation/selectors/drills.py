"""Reading drills: each, and their trend."""

from typing import Any

from reconciliation.models import Drill


def list_drills(*, after_id: int | None = None, limit: int = 50) -> list[Drill]:
    """Return drills, newest first."""
    rows = Drill.objects.select_related("account").order_by("-id")
    if after_id is not None:
        rows = rows.filter(pk__lt=after_id)
    return list(rows[:limit])


def drill_facts(drill: Drill) -> dict[str, Any]:
    """Return a drill as plain data."""
    names = (
        "fault", "state", "incident", "requested_by", "started_at", "injected_at", "ended_at", "seconds",
        "recovery_run", "verdict",
    )  # fmt: skip
    return {"id": drill.pk, "account": drill.account.name, **{name: getattr(drill, name) for name in names}}


def drill_trend(limit: int = 30) -> dict[str, Any]:
    """Return how many of the last drills passed, and how long recovery took in them, oldest first."""
    ended = list(Drill.objects.exclude(state="running").order_by("-id")[:limit])
    return {
        "drills": len(ended),
        "passed": sum(drill.state == "passed" for drill in ended),
        "seconds": [drill.seconds for drill in reversed(ended) if drill.seconds is not None],
    }
