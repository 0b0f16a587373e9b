"""What persons decide about differences: accept one, adjust a position, book cash, or have the account looked at."""

from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from brokers.core.corporate_actions import CashEntryKind
from brokers.services.holdings import adjust_position, book_cash
from reconciliation.core.discrepancy import DiscrepancyState, SubjectType
from reconciliation.core.resolution import Resolution
from reconciliation.core.runs import RunKind
from reconciliation.models import Discrepancy
from reconciliation.services.runs import request_run
from reconciliation.services.telling import end_alert_if_settled
from reliability.core.errors import ReliabilityError
from reliability.core.text import storable
from reliability.services.audit import record_audit


def accept(discrepancy_id: int, *, by: str, reason: str) -> Discrepancy:
    """Settle a difference by leaving both sides as they are; it is not named again while they stay so.

    Freezes it led to stay until they are released by their own rule.

    Raises:
        ReliabilityError: there is no such difference, it is settled already, or no reason is given.
    """
    reason = _reason(reason)
    with transaction.atomic():
        row = lock_open(discrepancy_id)
        close(row, Resolution.ACCEPT, by=by, reason=reason)
    return row


def adjust_to_reported(discrepancy_id: int, *, by: str, reason: str) -> Discrepancy:
    """Settle a position's difference by setting what is recorded to what the broker reported.

    It is an explicit event of the position, with the person and the reason; the run that follows tells
    whether both sides agree.

    Raises:
        ReliabilityError: it is about no position, settled already, without a reason, or what is recorded
            has changed since it was seen.
    """
    reason = _reason(reason)
    with transaction.atomic():
        row = lock_open(discrepancy_id)
        if row.subject_type != SubjectType.POSITION:
            raise ReliabilityError("VALIDATION_WRONG_STATE", "Only what is held of a symbol is adjusted.")
        reported_price = Decimal(row.reported["average_price"])
        adjust_position(
            row.account_id,
            row.symbol,
            quantity=Decimal(row.reported["quantity"]),
            average_price=reported_price if reported_price > 0 else None,
            expected=Decimal(row.recorded["quantity"]),
            by=by,
            reason=reason,
            details={"discrepancy": row.pk},
        )
        row.after = {name: row.reported[name] for name in ("quantity", "average_price")}
        close(row, Resolution.ADJUST, by=by, reason=reason)
        request_run(row.account_id, kind=RunKind.INCREMENTAL, trigger="resolution", by=by)
    return row


def book_difference(discrepancy_id: int, kind: CashEntryKind, *, by: str, reason: str) -> Discrepancy:
    """Settle a difference of cash by booking it as what it was: a dividend, a fee, a deposit.

    Raises:
        ReliabilityError: it is about no cash, settled already, without a reason, or of the wrong sign for its kind.
    """
    reason = _reason(reason)
    with transaction.atomic():
        row = lock_open(discrepancy_id)
        if row.subject_type != SubjectType.CASH:
            raise ReliabilityError("VALIDATION_WRONG_STATE", "Only a difference of cash is booked as cash.")
        missing = Decimal(row.reported["cash"]) - Decimal(row.recorded["cash"])
        book_cash(row.account_id, kind, missing, currency=row.subject, by=by, reason=reason)
        row.after = {"cash": row.reported["cash"]}
        close(row, Resolution.ADJUST, by=by, reason=reason)
        request_run(row.account_id, kind=RunKind.INCREMENTAL, trigger="resolution", by=by)
    return row


def ask_for_run(account_id: int, *, by: str, kind: RunKind = RunKind.INCREMENTAL, trigger: str = "person") -> int:
    """Have an account reconciled because a person wants it; returns the run's id."""
    with transaction.atomic():
        run_id = request_run(account_id, kind=kind, trigger=trigger, by=by)
        record_audit(by, "request_reconciliation", f"account:{account_id}", after={"run": run_id, "kind": kind.value})
    return run_id


def lock_open(discrepancy_id: int) -> Discrepancy:
    """Return an open difference under lock; raises ``ReliabilityError`` for any other."""
    row = Discrepancy.objects.select_for_update().filter(pk=discrepancy_id).first()
    if row is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such discrepancy.")
    if row.state != DiscrepancyState.OPEN:
        raise ReliabilityError("VALIDATION_WRONG_STATE", f"The discrepancy is {row.state}: there is nothing to decide.")
    return row


def close(row: Discrepancy, resolution: Resolution, *, by: str, reason: str) -> None:
    """Write what a person decided, in the caller's transaction, and tell of it where alerts are told."""
    before = {"state": row.state, "recorded": row.recorded, "reported": row.reported}
    row.state, row.resolution, row.reason = DiscrepancyState.RESOLVED, resolution, reason
    row.resolved_at, row.resolved_by = timezone.now(), by
    row.save()
    after = {"state": row.state, "resolution": resolution.value, "recorded": row.after or row.recorded}
    record_audit(by, "resolve_discrepancy", f"discrepancy:{row.pk}", before=before, after=after, reason=reason)
    end_alert_if_settled(row.account_id, reason=f"{by} decided on the last of them: {reason}")


def _reason(reason: str) -> str:
    cleaned = str(storable(reason)).strip()
    if not cleaned:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", details={"reason": ["Give a reason: it is kept."]})
    return cleaned[:500]
