"""A person's decision on an order whose outcome nobody knows: each recorded, none able to send anything.

Until one is taken and proven the order keeps its state, and with it its exposure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from django.db import transaction

from brokers.adapters.errors import BrokerCallError
from brokers.core.orders import OrderState
from brokers.core.reports import OrderReport
from brokers.models import Order
from brokers.services.accounts import AccountProfile, get_profile
from brokers.services.guards import CallClass, refused_here, waiting
from brokers.services.order_batch import OrderBatch, OrderRow, cause_of
from brokers.services.replacement import REPLACE_KIND
from brokers.services.sessions import get_session
from brokers.services.submission import SUBMIT_KIND
from brokers.services.synchronization import want_sync
from reliability.core.errors import ReliabilityError
from reliability.core.jobs import ClaimedJob, Disposition, Done, JobState, NotStartedError, Performed, Snooze
from reliability.core.text import storable
from reliability.selectors.jobs import list_unfinished_jobs
from reliability.services.audit import record_audit
from reliability.services.jobs.deadletters import discard_dead_letters
from reliability.services.jobs.enqueue import NewJob, enqueue_job
from reliability.services.jobs.kinds import JobKind, Prepared

CHECK_KIND = "orders.check"
LONGEST_REASON = 500
LONGEST_BROKER_ID = 64
_PRIORITY = 5
_SENDERS = frozenset({SUBMIT_KIND, REPLACE_KIND})


def look_again(order_id: UUID, *, actor: str, reason: str) -> None:
    """Ask the broker now for an order by its client order id. Nothing is sent, whatever the answer.

    Raises:
        ReliabilityError: no such order, its outcome is known, a look-up is under way, or no reason.
    """
    _ask(order_id, "", actor=actor, reason=reason)


def adopt(order_id: UUID, broker_order_id: str, *, actor: str, reason: str) -> None:
    """Say which order at the broker is ours. It becomes ours once the broker shows it with our terms.

    Raises:
        ReliabilityError: as ``look_again``; or that id is unusable, or another order of the account has it.
    """
    wanted = broker_order_id.strip()
    if not wanted or len(wanted) > LONGEST_BROKER_ID or not wanted.isprintable():
        text = f"Give the broker's order id: 1 to {LONGEST_BROKER_ID} printable characters."
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", text, {"broker_order_id": [text]})
    _ask(order_id, wanted, actor=actor, reason=reason)


def end_absent(order_id: UUID, *, actor: str, reason: str) -> None:
    """Say that an order never reached the broker: it is refused, and its exposure is free again.

    Should it turn up after all, that evidence still moves it.

    Raises:
        ReliabilityError: no such order, its outcome is known, or no reason.
    """
    reason = _checked_reason(reason)
    with transaction.atomic():
        batch, row = _lock_undecided(order_id)
        before = {"state": row.state}
        row.error_code, row.error_message = "BROKER_ORDER_NOT_FOUND", f"{actor} decided: {reason}"[:500]
        batch.move(row, OrderState.REFUSED, "decided_absent", "operator", actor=actor, reason=reason)
        batch.save()
        record_audit(
            actor, "end_unknown_order", f"order:{order_id}", before=before, after={"state": row.state}, reason=reason
        )
        _clear_dead_letters(order_id, actor, reason)


def may_decide(order: Order) -> bool:
    """Return whether a person may decide on an order: unknown, or being sent by a job that is dead."""
    return _is_undecided(order.pk, order.state)


@dataclass(frozen=True, slots=True)
class CheckRequest:
    profile: AccountProfile
    client_order_id: str
    broker_order_id: str
    symbol: str


class CheckOrderJob(JobKind):
    """One question to the broker that a person asked; its answer is evidence, or a note in the order's history."""

    name: ClassVar[str] = CHECK_KIND
    lane: ClassVar[str] = "orders"

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        orders = Order.objects.in_bulk([_subject(job) for job in jobs])
        return {job.id: self._request(orders[_subject(job)], job) for job in jobs}

    async def perform(self, request: CheckRequest) -> OrderReport | None:
        session = get_session(request.profile)
        if request.broker_order_id:
            return await session.get_order(request.broker_order_id)
        return await session.find_order(request.client_order_id, request.symbol)

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        batch = OrderBatch.lock([_subject(outcome.job) for outcome in outcomes])
        settled = {outcome.job.id: self._apply_one(batch, outcome) for outcome in outcomes}
        batch.save()
        return settled

    def apply_late(self, outcomes: Sequence[Performed]) -> None:
        self.apply(outcomes)

    def _request(self, order: Order, job: ClaimedJob) -> Prepared:
        if order.state not in (OrderState.UNKNOWN, OrderState.SENDING):
            return Done()
        profile, wanted = get_profile(order.account_id), str(job.payload["broker_order_id"])
        held = waiting(profile, CallClass.READS if wanted else CallClass.LOOK_UPS)
        return held or CheckRequest(profile, order.client_order_id, wanted, order.symbol)

    def _apply_one(self, batch: OrderBatch, outcome: Performed) -> Disposition:
        row, asked = batch.rows[_subject(outcome.job)], outcome.job.payload
        is_found = isinstance(outcome.result, OrderReport)  # that counts, whatever was decided meanwhile
        if not is_found and row.state not in (OrderState.UNKNOWN, OrderState.SENDING):
            return Done()
        held = refused_here(outcome.error)
        if held is not None:
            return held
        if isinstance(outcome.error, NotStartedError):
            return Snooze(timedelta(0))
        actor, wanted = str(asked["actor"]), str(asked["broker_order_id"])
        if outcome.error is not None:
            known = outcome.error if isinstance(outcome.error, BrokerCallError) else None
            code, text = (known.code, known.message) if known else ("SYSTEM_UNEXPECTED", repr(outcome.error))
            batch.note(row, "lookup_failed", "lookup", actor=actor, code=code, message=str(storable(text))[:500])
            return Done()
        report = outcome.result
        if not isinstance(report, OrderReport):
            batch.note(row, "lookup_missed", "lookup", actor=actor, misses=row.lookup_misses)
            return Done()
        why_not = why_not_ours(row, report, wanted) or _taken_by(row, report)
        if why_not:
            batch.note(
                row, "adoption_refused", "lookup", actor=actor, broker_order_id=report.broker_order_id, why=why_not
            )
            return Done()
        batch.report(row, report, "lookup")
        want_sync({row.account_id})
        _clear_dead_letters(row.id, actor, f"found at the broker: {asked['reason']}")
        return Done()


def why_not_ours(row: OrderRow, report: OrderReport, wanted: str = "") -> str:
    """Return why an order that the broker shows cannot be this one, empty when it can.

    What the broker leaves out is no difference; without our client order id, the word of a person counts.
    """
    if wanted and report.broker_order_id != wanted:
        return f"the broker showed {report.broker_order_id} instead of {wanted}"
    if report.client_order_id and report.client_order_id != row.client_order_id:
        return f"it has the client order id {report.client_order_id}"
    compared = (
        ("symbol", row.symbol, report.symbol),
        ("side", row.side, report.side.value),
        ("quantity", row.quantity, report.quantity),
        ("limit price", row.limit_price, report.limit_price),
    )
    for name, ours, theirs in compared:
        if ours is not None and theirs is not None and ours != theirs:
            return f"its {name} is {theirs}, ours {ours}"
    return ""


# -- inside ---------------------------------------------------------------------------------


def _ask(order_id: UUID, broker_order_id: str, *, actor: str, reason: str) -> None:
    reason = _checked_reason(reason)
    with transaction.atomic():
        batch, row = _lock_undecided(order_id)
        taken = Order.objects.filter(account=row.account_id, broker_order_id=broker_order_id).exclude(pk=order_id)
        if broker_order_id and taken.exists():
            raise ReliabilityError(
                "VALIDATION_WRONG_STATE", f"Another order has the broker order id {broker_order_id}."
            )
        payload: dict[str, Any] = {"broker_order_id": broker_order_id, "actor": actor, "reason": reason}
        job = NewJob(order_id, payload, unique_key=f"check:{order_id}", correlation_id=cause_of(row))
        if not enqueue_job(CHECK_KIND, job, priority=_PRIORITY):
            raise ReliabilityError("VALIDATION_WRONG_STATE", "The broker is being asked for it already.")
        kind = "adoption_asked" if broker_order_id else "lookup_asked"
        batch.note(row, kind, "operator", actor=actor, reason=reason, broker_order_id=broker_order_id)
        batch.save()
        action = "adopt_unknown_order" if broker_order_id else "look_up_unknown_order"
        record_audit(actor, action, f"order:{order_id}", after={"broker_order_id": broker_order_id}, reason=reason)


def _lock_undecided(order_id: UUID) -> tuple[OrderBatch, OrderRow]:
    batch = OrderBatch.lock([order_id])
    row = batch.rows.get(order_id)
    if row is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such order.")
    if not _is_undecided(order_id, row.state):
        text = f"The order is {row.state}: there is nothing for a person to decide."
        raise ReliabilityError("VALIDATION_WRONG_STATE", text, {"state": row.state})
    return batch, row


def _is_undecided(order_id: UUID, state: str) -> bool:
    if state == OrderState.SENDING:  # a call may be under way, unless the job that makes it is dead
        states = {job.state for job in list_unfinished_jobs(order_id) if job.kind in _SENDERS}
        return states == {JobState.DEAD.value}
    return state == OrderState.UNKNOWN


def _taken_by(row: OrderRow, report: OrderReport) -> str:
    others = Order.objects.filter(account=row.account_id, broker_order_id=report.broker_order_id).exclude(pk=row.id)
    other = others.first()
    return f"order {other.pk} has it" if other is not None else ""


def _clear_dead_letters(order_id: UUID, actor: str, reason: str) -> None:
    """Give up the order's dead submission once the decision is committed: jobs are locked before orders."""
    transaction.on_commit(partial(_discard_dead, order_id, actor, reason), robust=True)


def _discard_dead(order_id: UUID, actor: str, reason: str) -> None:
    dead = [job.pk for job in list_unfinished_jobs(order_id) if job.kind in _SENDERS and job.state == JobState.DEAD]
    if dead:
        discard_dead_letters(dead, actor=actor, reason=reason)


def _checked_reason(reason: object) -> str:
    text = str(storable(reason)).strip() if isinstance(reason, str) else ""
    if not text:
        raise ReliabilityError(
            "VALIDATION_INVALID_REQUEST", "Give a reason: it is kept with the decision.", {"reason": ["required"]}
        )
    return text[:LONGEST_REASON]


def _subject(job: ClaimedJob) -> UUID:
    assert job.subject is not None
    return job.subject
