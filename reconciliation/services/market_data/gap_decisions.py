"""What a person decides about a gap: that nothing is missing, or that the sources are asked again."""

from django.db import transaction

from reconciliation.core.gaps import GapState
from reconciliation.models import BarSeries, Gap
from reconciliation.services.market_data.backfill_job import enqueue_backfills
from reconciliation.services.market_data.releases import release_bars
from reconciliation.services.market_data.repairs import gap_event
from reliability.core.errors import ReliabilityError
from reliability.services.audit import record_audit


def accept_gap(gap_id: int, *, by: str, reason: str) -> Gap:
    """Say that nothing is missing; consumers no longer wait for these bars.

    Raises:
        ReliabilityError: there is no such gap, or it is over.
    """
    with transaction.atomic():
        gap, series = _locked(gap_id)
        _change(gap, GapState.ACCEPTED, by=by, reason=reason)
        release_bars(series, [])
    return gap


def retry_gap(gap_id: int, *, by: str, reason: str) -> Gap:
    """Have every source asked again.

    Raises:
        ReliabilityError: there is no such gap, it is over, or no feed delivers its series.
    """
    with transaction.atomic():
        gap, series = _locked(gap_id)
        if not series.subscriptions.filter(feed__enabled=True).exists():
            raise ReliabilityError("VALIDATION_WRONG_STATE", "No enabled feed delivers this series.")
        gap.asked = []
        _change(gap, GapState.FOUND, by=by, reason=reason)
        enqueue_backfills([gap.pk])
    return gap


def _locked(gap_id: int) -> tuple[Gap, BarSeries]:
    """Lock the series first, as everybody does, then the gap."""
    known = Gap.objects.filter(pk=gap_id).first()
    if known is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such gap.")
    series = BarSeries.objects.select_for_update().get(pk=known.series_id)
    gap = Gap.objects.select_for_update().get(pk=gap_id)
    if gap.state in (GapState.FILLED.value, GapState.MERGED.value):
        raise ReliabilityError("VALIDATION_WRONG_STATE", f"The gap is {gap.state} already.")
    return gap, series


def _change(gap: Gap, state: GapState, *, by: str, reason: str) -> None:
    before, gap.state, gap.reason = gap.state, state.value, reason[:500]
    gap.save(update_fields=["state", "reason", "asked"])
    gap_event(gap, before, "decided", actor=by, detail={"reason": reason[:500]}).save()
    record_audit(by, "gap.decide", f"gap:{gap.pk}", before={"state": before}, after={"state": gap.state}, reason=reason)
