"""Gaps whose cause is a bar that cannot be used: the sources are asked for that bar again."""

from collections.abc import Sequence

from django.utils import timezone

from reconciliation.core.bars import instant
from reconciliation.core.gaps import OPEN_STATES, GapCause, GapState
from reconciliation.models import Bar, BarSeries, FeedSubscription, Gap, GapEvent

_OPEN = [state.value for state in OPEN_STATES]


def ask_for_repairs(series: BarSeries, stamps: Sequence[int]) -> None:
    """Record a gap of one bar for each stamp whose bar is questionable and has no usable version yet.

    Series that no feed delivers are left alone: nobody could be asked.
    """
    if not stamps or not FeedSubscription.objects.filter(series=series, feed__enabled=True).exists():
        return
    moments = {instant(stamp) for stamp in stamps}
    moments -= set(Bar.objects.filter(series=series, opened_at__in=moments).values_list("opened_at", flat=True))
    known = Gap.objects.filter(
        series=series, started_at__in=moments, state__in=_OPEN, cause=GapCause.QUESTIONABLE.value
    )
    moments -= set(known.values_list("started_at", flat=True))
    gaps = Gap.objects.bulk_create(
        [
            Gap(series=series, started_at=moment, ended_at=moment, missing=1, cause=GapCause.QUESTIONABLE.value)
            for moment in sorted(moments)
        ]
    )
    GapEvent.objects.bulk_create([gap_event(gap, "", "found") for gap in gaps])


def settle_repairs(series_id: int, stamps: Sequence[int]) -> None:
    """End the gaps of questionable bars that have a usable version now."""
    if not stamps:
        return
    gaps = Gap.objects.filter(
        series_id=series_id,
        cause=GapCause.QUESTIONABLE.value,
        state__in=_OPEN,
        started_at__in=[instant(stamp) for stamp in stamps],
    )
    for gap in gaps:
        before, gap.state, gap.closed_at = gap.state, GapState.FILLED.value, timezone.now()
        gap.save(update_fields=["state", "closed_at"])
        gap_event(gap, before, "filled").save()


def gap_event(gap: Gap, before: str, what: str, *, actor: str = "", detail: dict[str, str] | None = None) -> GapEvent:
    """Return the event of a gap as it is now."""
    return GapEvent(
        gap=gap,
        from_state=before,
        to_state=gap.state,
        what=what,
        started_at=gap.started_at,
        ended_at=gap.ended_at,
        missing=gap.missing,
        detail=detail or {},
        actor=actor,
    )
