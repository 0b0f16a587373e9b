"""What a person decides about a bar that was kept aside: that it is true after all, and may be used."""

from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from reconciliation.core.bar_rules import CAN_BE_TRUE, BarFault, shape_faults
from reconciliation.core.bars import FIELDS, Bar, BarQuality, BarValues, instant
from reconciliation.models import BarSeries, QuestionableBar
from reconciliation.services.market_data.bar_store import OnDifference, write_bars
from reconciliation.services.market_data.gap_watch import settle_gaps
from reconciliation.services.market_data.questionable import settle_held
from reconciliation.services.market_data.releases import release_bars
from reconciliation.services.market_data.repairs import settle_repairs
from reliability.core.errors import ReliabilityError
from reliability.services.audit import record_audit


def can_be_confirmed(row: QuestionableBar) -> bool:
    """Return whether a person may say that it is true: it is held for its price alone, not for what cannot be."""
    faults = {BarFault(fault) for fault in row.faults}
    return (
        row.state == QuestionableBar.State.HELD
        and row.series_id is not None
        and row.stamp is not None
        and faults <= CAN_BE_TRUE
    )


def confirm_bar(bar_id: int, *, by: str, reason: str) -> QuestionableBar:
    """Use a bar that was kept aside. A recorded bar at its place becomes a revision; consumers are given this one.

    Raises:
        ReliabilityError: there is no such bar, it is decided, or it is one that cannot be true.
    """
    with transaction.atomic():
        row, series = _locked(bar_id)
        if not can_be_confirmed(row):
            faults = ", ".join(row.faults).replace("_", " ")
            raise ReliabilityError(
                "VALIDATION_WRONG_STATE", f"The bar is {row.state} ({faults}): nobody can confirm it."
            )
        assert row.stamp is not None
        bar = Bar(int(row.stamp.timestamp()), BarValues(*(Decimal(row.given[name]) for name in FIELDS)))
        if shape_faults(bar.values):
            raise ReliabilityError("VALIDATION_WRONG_STATE", "Its numbers cannot be true.")
        write_bars(series, [bar], source=row.source, quality=BarQuality.CONFIRMED, on_difference=OnDifference.REVISE)
        row.state, row.decided_by, row.decided_at = QuestionableBar.State.CONFIRMED, by, timezone.now()
        row.save(update_fields=["state", "decided_by", "decided_at"])
        _take_its_place(series, bar, by)
        before, after = {"state": "held", "faults": row.faults}, {"state": row.state, "bar": row.given}
        record_audit(
            by, "bar.confirm", f"bar:{series}@{row.stamp.isoformat()}", before=before, after=after, reason=reason
        )
    return row


def _take_its_place(series: BarSeries, bar: Bar, by: str) -> None:
    settle_held(series, [bar], by=by)
    if series.checked_until is None:
        series.checked_until = instant(bar.stamp)
        series.save(update_fields=["checked_until"])
    settle_gaps(series.pk, [bar.stamp], actor=by)
    settle_repairs(series.pk, [bar.stamp])
    release_bars(series, [bar.stamp])


def _locked(bar_id: int) -> tuple[QuestionableBar, BarSeries]:
    """Lock the series first, as everybody does, then the bar."""
    known = QuestionableBar.objects.filter(pk=bar_id).first()
    if known is None or known.series_id is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such bar of a series.")
    series = BarSeries.objects.select_for_update().get(pk=known.series_id)
    return QuestionableBar.objects.select_for_update().get(pk=bar_id), series
