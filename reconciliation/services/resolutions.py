"""What persons decide about differences: to accept one as it is, or to have the account looked at again."""

from django.db import transaction
from django.utils import timezone

from reconciliation.core.discrepancy import DiscrepancyState
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
