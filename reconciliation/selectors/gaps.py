"""Read gaps."""

from collections.abc import Sequence
from typing import Any

from django.db.models import Count

from reconciliation.core.gaps import OPEN_STATES
from reconciliation.models import Gap


def list_gaps(
    *, symbol: str = "", states: Sequence[str] = (), before: int | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Return gaps as plain values, newest first."""
    query = Gap.objects.select_related("series").order_by("-id")
    if symbol:
        query = query.filter(series__symbol=symbol)
    if states:
        query = query.filter(state__in=states)
    if before is not None:
        query = query.filter(id__lt=before)
    return [gap_facts(gap) for gap in query[:limit]]


def count_open_gaps() -> dict[str, int]:
    """Return how many gaps are not settled, by state."""
    states = sorted(state.value for state in OPEN_STATES)
    rows = Gap.objects.filter(state__in=states).order_by().values_list("state").annotate(number=Count("pk"))
    return {**dict.fromkeys(states, 0), **dict(rows)}


def gap_facts(gap: Gap) -> dict[str, Any]:
    return {
        "id": gap.pk,
        "symbol": gap.series.symbol,
        "timeframe": gap.series.timeframe,
        "start": gap.started_at,
        "end": gap.ended_at,
        "missing": gap.missing,
        "state": gap.state,
        "cause": gap.cause,
        "reason": gap.reason,
        "found_at": gap.found_at,
        "closed_at": gap.closed_at,
    }
