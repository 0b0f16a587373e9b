"""What persons decide about differences: accept one, adjust a position, book cash, or have the account looked at."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from brokers.core.corporate_actions import CashEntryKind
from brokers.selectors.recorded import account_name
from brokers.services.account_proposals import CASH_KIND, POSITION_KIND, Action, propose, register_action
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
from reliability.services.interventions import Question

ADJUST, BOOK, ACCEPT_CASH = "discrepancy_adjust", "discrepancy_book", "discrepancy_accept"
_TITLES = {
    ADJUST: "Set what is recorded to what the broker reported",
    BOOK: "Book the difference of cash",
    ACCEPT_CASH: "Accept the difference of cash, and count from there",
}


def accept(discrepancy_id: int, *, by: str, reason: str) -> Discrepancy:
    """Settle a difference by leaving both sides as they are; it is not named again while they stay so.

    Freezes it led to stay until they are released by their own rule.

    Raises:
        ReliabilityError: there is no such difference, it is settled already, no reason is given, or it is about cash,
            which two persons accept, see ``propose_acceptance``.
    """
    reason = _reason(reason)
    with transaction.atomic():
        row = lock_open(discrepancy_id)
        if row.subject_type == SubjectType.CASH:
            raise ReliabilityError("VALIDATION_WRONG_STATE", "Two persons accept a difference of cash: propose it.")
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


def accept_cash(discrepancy_id: int, *, by: str, reason: str) -> Discrepancy:
    """Settle a difference of cash without saying what it was: an adjustment is booked, so that cash agrees from now on.

    Raises:
        ReliabilityError: it is about no cash, settled already, or without a reason.
    """
    row = book_difference(discrepancy_id, CashEntryKind.ADJUSTMENT, by=by, reason=f"accepted: {reason}")
    row.resolution = Resolution.ACCEPT
    row.save(update_fields=["resolution"])
    return row


def propose_decision(action: str, discrepancy_id: int, *, by: str, reason: str, kind: str = "") -> int:
    """Propose what becomes of a position or of cash that differs; another person confirms it. Returns the question.

    The proposal is bound to both sides as they are now: of another difference nothing is carried out.

    Args:
        action: ``ADJUST``, ``BOOK`` or ``ACCEPT_CASH``.
        kind: As what cash is booked.

    Raises:
        ReliabilityError: ``by`` may not, there is no such open difference, or it cannot be settled so.
    """
    with transaction.atomic():
        row = lock_open(discrepancy_id)
        name = account_name(row.account_id)
        evidence = {
            "action": action,
            "discrepancy": row.pk,
            "account": name,
            "subject": row.subject,
            "recorded": row.recorded,
            "reported": row.reported,
            **({"book as": kind} if kind else {}),
        }
        title = f"{_TITLES[action]} ({row.kind.replace('_', ' ')} of {row.subject} on {name})?"
        question = Question(f"discrepancy:{row.pk}", title, evidence, {"account": name})
        intervention = POSITION_KIND if action == ADJUST else CASH_KIND
        return propose(intervention, question, by, _reason(reason))


def propose_acceptance(discrepancy_id: int, *, by: str, reason: str) -> int | None:
    """Accept a difference, or propose it where it is about cash; returns the number of the proposal, if any."""
    row = Discrepancy.objects.filter(pk=discrepancy_id).first()
    if row is not None and row.subject_type == SubjectType.CASH:
        return propose_decision(ACCEPT_CASH, discrepancy_id, by=by, reason=reason)
    accept(discrepancy_id, by=by, reason=reason)
    return None


def register_proposals() -> None:
    """Have what is proposed here carried out once it is confirmed."""
    register_action(ADJUST, _same(lambda content, **told: adjust_to_reported(content["discrepancy"], **told)))
    register_action(BOOK, _same(_book_as))
    register_action(ACCEPT_CASH, _same(lambda content, **told: accept_cash(content["discrepancy"], **told)))


def _book_as(content: Mapping[str, Any], **told: str) -> Discrepancy:
    return book_difference(content["discrepancy"], CashEntryKind(content["book as"]), **told)


def _same(settle: Callable[..., Discrepancy]) -> Action:
    """Settle a difference only while it is the one that was proposed."""

    def act(content: Mapping[str, Any], by: str, reason: str) -> str:
        row = lock_open(content["discrepancy"])
        if (row.recorded, row.reported) != (content["recorded"], content["reported"]):
            raise ReliabilityError("VALIDATION_WRONG_STATE", "It is another difference by now: propose it again.")
        row = settle(content, by=by, reason=reason)
        return f"Discrepancy {row.pk} is settled: {row.resolution}. The account is being reconciled again."

    return act


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
