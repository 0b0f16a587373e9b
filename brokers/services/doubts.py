"""Orders that came back with a backup: what was done to them since is not on record, so each is looked up first."""

from collections.abc import Sequence
from uuid import UUID

from brokers.core.orders import OrderState
from brokers.services.order_batch import OrderBatch, OrderRow
from brokers.services.submission import SUBMIT_KIND
from reliability.core.jobs import JobError
from reliability.services.jobs.handing_over import hand_over

_MAY_BE_ELSEWHERE = JobError(
    "BROKER_ORDER_NOT_FOUND",
    "It comes from a backup as not sent; since then any account of its route may have been sent it.",
)


def doubt_order(batch: OrderBatch, row: OrderRow, *, actor: str, reason: str) -> None:
    """Let an order that is not known at its broker count as sent just now, with an unknown outcome.

    Absence that was proven, or nearly, before the backup proves nothing any more: it may have been sent again since.
    """
    row.sent_at = batch.now  # absence counts from here on
    row.lookup_misses, row.absence_proven_at = 0, None
    if row.state == OrderState.UNKNOWN:
        batch.note(row, "restored", "restore", actor=actor, reason=reason)
        return
    if row.state == OrderState.ACCEPTED:
        batch.move(row, OrderState.SENDING, "restored", "restore", actor=actor, reason=reason)
    batch.move(row, OrderState.UNKNOWN, "may_have_been_sent", "restore", actor=actor)


def ask_person(order_ids: Sequence[UUID], *, actor: str) -> int:
    """Let a person decide on orders of which any account of a route may have one; returns on how many."""
    return hand_over(SUBMIT_KIND, order_ids, _MAY_BE_ELSEWHERE, actor=actor)
