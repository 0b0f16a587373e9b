"""Entries that stand at the broker without their exits: each is canceled until the broker shows that it ended.

The wish is a job, committed together with what made it necessary. It ends with the entry and in no other way: a
cancel that was lost, refused or taken without effect is asked for again, and a person hears of the entry that would
not go, and of what filled before it went, because that has nothing to end its loss.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from brokers.adapters.errors import BrokerCallError
from brokers.core.orders import FINAL_STATES, OrderState
from brokers.models import Order
from brokers.services.cancellation import CancelOrderJob, CancelRequest
from brokers.services.order_batch import OrderBatch, OrderRow, cause_of
from reliability.core.jobs import ClaimedJob, Dead, Disposition, Done, JobError, Performed, Snooze
from reliability.core.presentation import amount_text
from reliability.core.taxonomy import FailureKind
from reliability.services.jobs.enqueue import NewJob, enqueue_job
from reliability.services.jobs.kinds import Prepared

TAKE_BACK_KIND = "orders.take_back"
_CODE = "BROKER_EXIT_REFUSED"
_PRIORITY = 10
_ASK_AGAIN = timedelta(seconds=2)
_PATIENCE = timedelta(minutes=1)


def take_back(batch: OrderBatch, row: OrderRow, source: str, reason: str) -> None:
    """Want a locked entry gone, durably: in the transaction that records why."""
    payload = {"asked_at": batch.now.isoformat()}
    job = NewJob(subject=row.id, payload=payload, unique_key=f"take_back:{row.id}", correlation_id=cause_of(row))
    if enqueue_job(TAKE_BACK_KIND, job, priority=_PRIORITY):
        row.cancel_requested_at = row.cancel_requested_at or batch.now
        batch.note(row, "exit_refused", source, reason=reason[:500])


@dataclass(frozen=True, slots=True)
class EntryEnded:
    """Nothing is to be asked: the entry is final, and its row is to say how this ended."""


class TakeBackJob(CancelOrderJob):
    """Cancel an entry until it is final. What neither ends nor answers otherwise for a minute goes to a person."""

    name: ClassVar[str] = TAKE_BACK_KIND

    def request(self, order: Order, job: ClaimedJob) -> Prepared:
        return EntryEnded() if OrderState(order.state) in FINAL_STATES else super().request(order, job)

    async def perform(self, request: CancelRequest | EntryEnded) -> None:
        if isinstance(request, CancelRequest):
            await super().perform(request)

    def settle(self, batch: OrderBatch, outcome: Performed) -> Disposition:
        assert outcome.job.subject is not None
        row = batch.rows[outcome.job.subject]
        if OrderState(row.state) in FINAL_STATES:
            return _ended(batch, row)
        error = outcome.error
        if error is None:
            batch.note(row, "cancel_taken", "reply")
            return _ask_again(batch, outcome, "The broker took the cancel and has not acted on it.")
        if isinstance(error, BrokerCallError) and error.kind is FailureKind.REJECTED:
            batch.note(row, "cancel_refused", "reply", code=error.code, message=error.message)
            return _ask_again(batch, outcome, f"The broker refuses to cancel it: {error.message}")
        return super().settle(batch, outcome)


def _ended(batch: OrderBatch, row: OrderRow) -> Disposition:
    """Its exits ended with it, named or not; what it filled has none."""
    row.legs_known = True
    batch.note(row, "entry_ended", "worker", filled_quantity=str(row.filled_quantity))
    if not row.filled_quantity:
        return Done()
    filled = f"{row.side} {amount_text(row.filled_quantity)} {row.symbol}"
    return Dead(JobError(_CODE, f"It is {row.state} and filled {filled}, for which the broker holds no full exits."))


def _ask_again(batch: OrderBatch, outcome: Performed, message: str) -> Disposition:
    """Come back until evidence says that the entry ended; after a minute of answers a person must look."""
    payload: dict[str, Any] = outcome.job.payload
    asked_at = max(datetime.fromisoformat(payload[name]) for name in ("asked_at", "replayed_at") if name in payload)
    if batch.now - asked_at > _PATIENCE:
        return Dead(JobError(_CODE, message))
    return Snooze(_ASK_AGAIN, JobError(_CODE, message))
