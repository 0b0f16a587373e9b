"""What must be true before a database that was restored from a backup is worked with.

The backup knows nothing of what was done after it was taken. So nothing is sent: trading is frozen everywhere. An order
that was waiting to be sent may have been sent since, so it counts as sent with an unknown outcome: it is looked up at
its broker, and sent again, once trading goes on, only after its absence is proven. Baskets under way wait for a person,
and what they make from then on is looked up first, too. No row is dropped: legal holds placed since are missing.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from brokers.core.freezes import FreezeCause, FreezeMode, parse_freeze_scope
from brokers.core.orders import OrderState
from brokers.models import Order
from brokers.services.baskets.legs import BASKET_KIND
from brokers.services.doubts import ask_person, doubt_order
from brokers.services.freezes import freeze_trading
from brokers.services.order_batch import OrderBatch
from reliability.core.jobs import JobError
from reliability.selectors.retention import list_holds
from reliability.services.audit import record_audit
from reliability.services.retention.holds import place_hold
from reliability.services.sagas.control import doubt_sagas

_CHUNK = 500
_UNSENT = (OrderState.ACCEPTED, OrderState.SENDING)
_DOUBTFUL = Q(state__in=_UNSENT) | (
    Q(state=OrderState.UNKNOWN) & (Q(lookup_misses__gt=0) | Q(absence_proven_at__isnull=False))
)
_BASKET_WENT_ON = JobError(
    "SYSTEM_STEP_GIVEN_UP",
    "It was restored from a backup; since then its basket may have gone on. Replayed, it goes on and looks up first "
    "what it makes; discarded, the basket is taken back.",
)


@dataclass(frozen=True, slots=True)
class Held:
    """What was held: the freeze, the legal hold, and how many orders and steps are looked up or wait for a person."""

    freeze_id: int
    hold_id: int
    looked_up: int
    for_a_person: int
    basket_steps: int


def hold_restored(*, actor: str, reason: str) -> Held:
    """Freeze all trading and dropping, and doubt every order that the backup calls not sent; safe to run again.

    Run it before any process of the installation starts.

    Raises:
        ReliabilityError: there is no reason.
    """
    with transaction.atomic():
        freeze_id = freeze_trading(
            parse_freeze_scope("global"), FreezeMode.HALT, FreezeCause.PERSON, reason=reason, by=actor
        )
    hold_id = _keep_everything(freeze_id, actor)
    basket_steps = doubt_sagas(BASKET_KIND, _BASKET_WENT_ON, actor=actor, reason=reason)
    looked_up, for_a_person = _doubt_orders(actor, reason)
    held = Held(freeze_id, hold_id, looked_up, for_a_person, basket_steps)
    facts = {
        "freeze": freeze_id, "legal_hold": hold_id, "looked_up": looked_up, "for_a_person": for_a_person,
        "basket_steps": basket_steps,
    }  # fmt: skip
    record_audit(actor, "restored_from_backup", "database", after=facts, reason=reason)
    return held


def _doubt_orders(actor: str, reason: str) -> tuple[int, int]:
    """Doubt every order that may be further than its row says; returns how many are looked up and await a person."""
    looked_up = for_a_person = 0
    while waiting := list(Order.objects.filter(_DOUBTFUL).order_by("id").values_list("pk", flat=True)[:_CHUNK]):
        with transaction.atomic():
            batch = OrderBatch.lock(waiting)
            routed = [row.id for row in batch.rows.values() if len(row.route or ()) > 1 and row.state in _UNSENT]
            for row in batch.rows.values():
                doubt_order(batch, row, actor=actor, reason=reason)
            batch.save()
            for_a_person += ask_person(routed, actor=actor)
            looked_up += len(batch.rows) - len(routed)
    return looked_up, for_a_person


def _keep_everything(freeze_id: int, actor: str) -> int:
    """Hold every row there is, once for each restore: holds that were placed since the backup are not on record."""
    reason = f"Restored from a backup (freeze {freeze_id}): place the legal holds since then again, then release this."
    for hold in list_holds(in_force=True):
        if hold.reason == reason:
            return hold.pk
    began = datetime(1970, 1, 1, tzinfo=UTC)
    return place_hold(kind="", starts_at=began, ends_at=timezone.now(), actor=actor, reason=reason).pk
