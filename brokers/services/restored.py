"""What must be true before a database that was restored from a backup is worked with.

The backup knows nothing of what was done after it was taken. So nothing is sent: trading is frozen everywhere. An order
that was waiting to be sent may have been sent since, so it counts as sent with an unknown outcome: it is looked up at
its broker, and sent again, once trading goes on, only after its absence is proven.
"""

from dataclasses import dataclass

from django.db import transaction

from brokers.core.freezes import FreezeCause, FreezeMode, parse_freeze_scope
from brokers.core.orders import OrderState
from brokers.models import Order
from brokers.services.freezes import freeze_trading
from brokers.services.order_batch import OrderBatch
from brokers.services.submission import SUBMIT_KIND
from reliability.core.jobs import JobError
from reliability.services.audit import record_audit
from reliability.services.jobs.handing_over import hand_over

_CHUNK = 500
_MAY_BE_ELSEWHERE = JobError(
    "BROKER_ORDER_NOT_FOUND",
    "It was restored from a backup as not sent; since then any account of its route may have been sent it.",
)


@dataclass(frozen=True, slots=True)
class Held:
    """What was held: the freeze, and how many orders are looked up by themselves or wait for a person."""

    freeze_id: int
    looked_up: int
    for_a_person: int


def hold_restored(*, actor: str, reason: str) -> Held:
    """Freeze all trading, and doubt every order that the backup calls not sent; safe to run again.

    Run it before any process of the installation starts.

    Raises:
        ReliabilityError: there is no reason.
    """
    with transaction.atomic():
        freeze_id = freeze_trading(
            parse_freeze_scope("global"), FreezeMode.HALT, FreezeCause.PERSON, reason=reason, by=actor
        )
    looked_up = for_a_person = 0
    while waiting := list(Order.objects.filter(state=OrderState.ACCEPTED).order_by("id")[:_CHUNK]):
        with transaction.atomic():
            batch = OrderBatch.lock([order.pk for order in waiting])
            routed = [row.id for row in batch.rows.values() if len(row.route or ()) > 1]
            for row in batch.rows.values():
                row.sent_at = batch.now  # absence counts from here on
                batch.move(row, OrderState.SENDING, "restored", "restore", actor=actor, reason=reason)
                batch.move(row, OrderState.UNKNOWN, "may_have_been_sent", "restore", actor=actor)
            batch.save()
            for_a_person += hand_over(SUBMIT_KIND, routed, _MAY_BE_ELSEWHERE, actor=actor)
            looked_up += len(batch.rows) - len(routed)
    held = Held(freeze_id, looked_up, for_a_person)
    facts = {"freeze": freeze_id, "looked_up": looked_up, "for_a_person": for_a_person}
    record_audit(actor, "restored_from_backup", "database", after=facts, reason=reason)
    return held
