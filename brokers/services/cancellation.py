"""Canceling: at once while nothing was sent, by a durable job afterwards."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from django.db import transaction

from brokers.adapters.errors import BrokerCallError
from brokers.core.orders import FINAL_STATES, OrderState
from brokers.models import Order
from brokers.services.accounts import AccountProfile, get_profile
from brokers.services.guards import CallClass, refused_here, waiting
from brokers.services.order_batch import OrderBatch, OrderRow, cause_of
from brokers.services.repeats import paid_delay
from brokers.services.sessions import get_session
from brokers.services.synchronization import want_sync
from reliability.core.classification import Operation
from reliability.core.errors import ReliabilityError
from reliability.core.jobs import ClaimedJob, Disposition, Done, JobError, Performed, Snooze
from reliability.core.taxonomy import FailureKind
from reliability.services.jobs.enqueue import NewJob, enqueue_job
from reliability.services.jobs.execution import failure_disposition
from reliability.services.jobs.kinds import JobKind, Prepared

CANCEL_KIND = "orders.cancel"
_PRIORITY = 10
_PATIENCE = timedelta(seconds=10)
_WAIT_FOR_BROKER = timedelta(milliseconds=300)
_LONGEST_WAIT_FOR_BROKER = timedelta(seconds=10)


def request_cancel(
    order_id: UUID, *, actor: str, source: str = "api", within: Collection[int] | None = None
) -> OrderState:
    """Cancel an order that was not sent, or durably ask for its cancel; returns its state.

    An order that is being replaced is canceled together with the one that is to take its place,
    whichever of the two the broker goes on with. Asking again while a cancel is pending changes
    nothing, unless the broker took it and has not acted on it for a while: then it is asked again.
    For a caller that may reach the accounts ``within`` alone (ids; None: all), there are no orders of others.

    Raises:
        ReliabilityError: there is no such order, or it is final.
    """
    with transaction.atomic():
        batch = OrderBatch.lock([order_id])
        row = batch.rows.get(order_id)
        if row is None or (within is not None and row.account_id not in within):
            raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such order.")
        state = OrderState(row.state)
        if state in FINAL_STATES:
            raise ReliabilityError("VALIDATION_ORDER_FINAL", details={"state": state.value})
        ask_cancel(batch, row, actor, source)
        batch.save()
        _cancel_replacements(order_id, actor, source)
        return OrderState(row.state)


def _cancel_replacements(order_id: UUID, actor: str, source: str) -> None:
    """Cancel what is to take an order's place: newer than the order, and so locked after it."""
    pending = Order.objects.filter(replaces_id=order_id, finished_at=None)
    batch = OrderBatch.lock(list(pending.values_list("pk", flat=True)))
    for row in batch.rows.values():
        if OrderState(row.state) not in FINAL_STATES:
            ask_cancel(batch, row, actor, source)
    batch.save()
    for row in batch.rows.values():
        _cancel_replacements(row.id, actor, source)


def ask_cancel(batch: OrderBatch, row: OrderRow, actor: str, source: str) -> None:
    """Cancel a locked order that is not final: at once if no broker has it, durably otherwise."""
    if row.state == OrderState.ACCEPTED:
        batch.move(row, OrderState.CANCELED, "canceled_before_sending", source, actor=actor)
    elif row.cancel_requested_at is None or batch.now - row.cancel_requested_at > _PATIENCE:
        job = NewJob(subject=row.id, unique_key=f"cancel:{row.id}", correlation_id=cause_of(row))
        if enqueue_job(CANCEL_KIND, job, priority=_PRIORITY):  # else it is on its way, and asks until it is taken
            kind = "cancel_requested" if row.cancel_requested_at is None else "cancel_requested_again"
            row.cancel_requested_at = batch.now
            batch.note(row, kind, source, actor=actor)


@dataclass(frozen=True, slots=True)
class CancelRequest:
    profile: AccountProfile
    broker_order_id: str


class CancelOrderJob(JobKind):
    """Ask the broker; its answer only says that it will try, the outcome comes as evidence."""

    name: ClassVar[str] = CANCEL_KIND
    lane: ClassVar[str] = "orders"

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        """The orders are not locked: other jobs of this claim hold locks, and a cancel is only a request."""
        orders = Order.objects.in_bulk([job.subject for job in jobs if job.subject is not None])
        return {job.id: self.request(orders[_subject(job)], job) for job in jobs}

    async def perform(self, request: CancelRequest) -> None:
        await get_session(request.profile).cancel_order(request.broker_order_id)

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        batch = OrderBatch.lock([outcome.job.subject for outcome in outcomes if outcome.job.subject is not None])
        settled = {outcome.job.id: self.settle(batch, outcome) for outcome in outcomes}
        batch.save()
        taken = {batch.rows[_subject(outcome.job)].account_id for outcome in outcomes if outcome.error is None}
        refused = {batch.rows[_subject(outcome.job)].account_id for outcome in outcomes if _is_refused(outcome)}
        want_sync(refused)
        want_sync(taken - refused, delay=timedelta(seconds=2))
        return settled

    def discard(self, job: ClaimedJob, actor: str, reason: str) -> None:
        """The cancel is no longer pending: it may be asked for again."""
        batch = OrderBatch.lock([_subject(job)])
        row = batch.rows[_subject(job)]
        row.cancel_requested_at = None
        batch.note(row, "cancel_given_up", "operator", actor=actor, reason=reason)
        batch.save()

    def request(self, order: Order, job: ClaimedJob) -> Prepared:
        """Return what to ask of the broker, or that there is nothing to ask."""
        if OrderState(order.state) in FINAL_STATES:
            return Done()
        if not order.broker_order_id:
            return Snooze(min(_WAIT_FOR_BROKER * 2 ** min(job.snoozes, 10), _LONGEST_WAIT_FOR_BROKER))
        profile = get_profile(order.account_id)
        return waiting(profile, CallClass.CANCELS) or CancelRequest(profile, order.broker_order_id)

    def settle(self, batch: OrderBatch, outcome: Performed) -> Disposition:
        """Note the answer in the locked order's history, and say what becomes of the job."""
        row = batch.rows[_subject(outcome.job)]
        error = outcome.error
        if error is None:
            batch.note(row, "cancel_taken", "reply")
            return Done()
        if not isinstance(error, BrokerCallError):
            return failure_disposition(outcome)
        if error.kind is FailureKind.REJECTED:
            row.cancel_requested_at = None
            batch.note(row, "cancel_refused", "reply", code=error.code, message=error.message)
            return Done()
        held = refused_here(error)
        if held is not None:
            return held
        # Asking twice does no harm, so a cancel that may or may not have arrived is asked for again,
        # for as long as the order lives: giving up would leave exposure that somebody wanted gone.
        profile, failures = get_profile(row.account_id), outcome.job.snoozes + 1
        delay = paid_delay(profile, CallClass.CANCELS, error, Operation.CANCEL, failures)
        return Snooze(delay, JobError(error.code, error.message))


def _is_refused(outcome: Performed) -> bool:
    return isinstance(outcome.error, BrokerCallError) and outcome.error.kind is FailureKind.REJECTED


def _subject(job: ClaimedJob) -> UUID:
    assert job.subject is not None
    return job.subject
