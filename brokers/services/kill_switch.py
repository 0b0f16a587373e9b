"""The kill switch: stops trading at once for an account, a broker or everything; two persons let it go on.

From the commit of an engagement on no process accepts an order in its scope, and none that is
accepted later is sent: accepting and sending look at the switches inside their own statements.
Orders that were accepted before are canceled, by this process at once and by a durable job
that goes on looking for as long as the switch is in force.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from brokers.core.halts import Halt, parse_scope
from brokers.core.orders import OrderState
from brokers.models import KillSwitch, KillSwitchEvent, OrderEvent
from brokers.selectors.kill_switch import STOPPED_BY, open_orders
from brokers.services.cancellation import CANCEL_KIND
from brokers.services.four_eyes import (
    APPROVE_PERMISSION,
    LONGEST_REASON,
    checked_reason,
    require_person,
    require_second_person,
)
from brokers.services.halts import forget_halts, halt_text
from brokers.services.order_batch import OrderBatch, OrderRow, cause_of
from brokers.services.scopes import scope_target
from reliability.core.errors import ReliabilityError
from reliability.core.text import storable
from reliability.services.audit import record_audit
from reliability.services.jobs.enqueue import NewJob, enqueue_job, enqueue_jobs

STOP_KIND = "orders.stop"
PRIORITY = 1
CHUNK = 500
RELEASE_PERMISSION = "brokers.release_kill_switch"
CONFIRM_PERMISSIONS = (RELEASE_PERMISSION, APPROVE_PERMISSION)
_CHUNKS_AT_ONCE = 10
_ASK_AGAIN = timedelta(seconds=30)


def engage(scope: str, *, reason: str, actor: str) -> KillSwitch:
    """Stop trading in ``scope``: ``global``, ``broker:NAME`` or ``account:NAME``.

    In force when this returns; open orders are then being canceled. Engaging a switch that is
    in force keeps it, records that it was wanted again, and voids a pending request for its release.

    Raises:
        ReliabilityError: the scope names nothing there is, or there is no reason.
    """
    target, reason = scope_target(scope, parse_scope), checked_reason(reason)
    with transaction.atomic():
        switch = _engage(target, reason, actor)
        key = f"kill-switch:{switch.pk}"
        enqueue_job(STOP_KIND, NewJob(payload={"switch": switch.pk}, unique_key=key), priority=PRIORITY)
    forget_halts()
    for _ in range(_CHUNKS_AT_ONCE):
        if stop_orders(switch.pk) < CHUNK:
            break
    switch.refresh_from_db()
    return switch


def stop_orders(switch_id: int) -> int:
    """Cancel up to 500 orders in the scope of a switch that nobody canceled yet; returns how many.

    What was not sent is canceled at once. For the rest a cancel is asked for, durably: it waits
    for its circuit, and for an unknown order to be found. A cancel that the broker refused is asked
    for again half a minute later.
    """
    with transaction.atomic():
        switch = KillSwitch.objects.select_for_update(of=("self",)).select_related("account").get(pk=switch_id)
        if switch.released_at is not None:
            return 0
        batch = OrderBatch.lock(_orders_to_stop(switch))
        known = set(
            OrderEvent.objects.filter(
                order__in=list(batch.rows), source=STOPPED_BY, recorded_at__gte=switch.engaged_at
            ).values_list("order_id", flat=True)
        )
        halt = Halt(switch.pk, switch.scope, switch.reason, switch.engaged_by, switch.engaged_at)
        stopped = [row for row in batch.rows.values() if _stop(batch, row, halt)]
        batch.save()
        cancels = [
            NewJob(subject=row.id, unique_key=f"cancel:{row.id}", correlation_id=cause_of(row))
            for row in stopped
            if row.state != OrderState.CANCELED
        ]
        enqueue_jobs(CANCEL_KIND, cancels, priority=PRIORITY)
        fresh = sum(row.id not in known for row in stopped)
        KillSwitch.objects.filter(pk=switch.pk).update(orders_stopped=F("orders_stopped") + fresh)
        return len(stopped)


def cancel_unsent(batch: OrderBatch, row: OrderRow, halt: Halt) -> None:
    """Cancel an accepted order that no broker has, because a kill switch stops its account."""
    row.error_code, row.error_message = "VALIDATION_TRADING_HALTED", halt_text(halt)[:500]
    evidence = {"scope": str(halt.scope), "reason": halt.reason, "switch": halt.id}
    batch.move(row, OrderState.CANCELED, "canceled_before_sending", STOPPED_BY, actor=halt.engaged_by, **evidence)


def request_release(switch_id: int, *, by: str, reason: str) -> KillSwitch:
    """Ask for a switch to be released; another person confirms it within the hour.

    Args:
        switch_id: The switch.
        by: The username of an active person who may release kill switches.
        reason: Why trading can go on.

    Raises:
        ReliabilityError: no such switch in force, no such person, or no reason.
    """
    reason = checked_reason(reason)
    with transaction.atomic():
        person = _require_person(by)
        switch = _lock_in_force(switch_id)
        switch.release_wanted_by, switch.release_wanted_at = person, timezone.now()
        switch.release_reason = reason
        switch.save(update_fields=["release_wanted_by", "release_wanted_at", "release_reason"])
        _record(switch, "release_wanted", person, reason)
    return switch


def confirm_release(switch_id: int, *, by: str, reason: str = "") -> KillSwitch:
    """Release a switch that another person asked to release; new orders are accepted from the commit on.

    Raises:
        ReliabilityError: no such switch in force, nobody asked within the hour, or who confirms asked for it or is
            no approver.
    """
    with transaction.atomic():
        person = require_person(by, "confirm the release of kill switches", *CONFIRM_PERMISSIONS)
        switch = _lock_in_force(switch_id)
        require_second_person(person, wanted_by=switch.release_wanted_by, wanted_at=switch.release_wanted_at)
        _require_person(switch.release_wanted_by)
        switch.released_by, switch.released_at = person, timezone.now()
        switch.save(update_fields=["released_by", "released_at"])
        why = str(storable(reason)).strip()[:LONGEST_REASON] or switch.release_reason
        _record(switch, "released", person, why, wanted_by=switch.release_wanted_by)
        forget_halts()
        transaction.on_commit(forget_halts)
    return switch


# -- inside ---------------------------------------------------------------------------------


def _engage(target: dict[str, Any], reason: str, actor: str) -> KillSwitch:
    try:
        with transaction.atomic():
            switch = KillSwitch.objects.create(**target, reason=reason, engaged_by=actor)
    except IntegrityError:
        present = KillSwitch.objects.select_for_update(of=("self",)).select_related("account")
        found = present.filter(**target, released_at=None).first()
        if found is None:
            raise  # it was released in this very moment
        found.release_wanted_by, found.release_wanted_at, found.release_reason = "", None, ""
        found.save(update_fields=["release_wanted_by", "release_wanted_at", "release_reason"])
        _record(found, "engaged_again", actor, reason)
        return found
    switch.refresh_from_db()
    _record(switch, "engaged", actor, reason)
    return switch


def _record(switch: KillSwitch, kind: str, actor: str, reason: str, **evidence: Any) -> None:
    KillSwitchEvent.objects.create(kill_switch=switch, kind=kind, actor=actor, reason=reason, evidence=evidence)
    after = {"switch": switch.pk, **evidence}
    record_audit(actor, f"kill_switch_{kind}", f"kill_switch:{switch.scope}", after=after, reason=reason)


def _lock_in_force(switch_id: int) -> KillSwitch:
    rows = KillSwitch.objects.select_for_update(of=("self",)).select_related("account")
    switch = rows.filter(pk=switch_id).first()
    if switch is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such kill switch.")
    if switch.released_at is not None:
        raise ReliabilityError("VALIDATION_WRONG_STATE", f"{switch.released_by} released it already.")
    return switch


def _require_person(username: str) -> str:
    return require_person(username, "release kill switches", RELEASE_PERMISSION)


def _orders_to_stop(switch: KillSwitch) -> Sequence[UUID]:
    refused_lately = OrderEvent.objects.filter(
        order=OuterRef("pk"), kind="cancel_refused", recorded_at__gt=timezone.now() - _ASK_AGAIN
    )
    left = open_orders(switch).filter(Q(state=OrderState.ACCEPTED) | Q(cancel_requested_at=None))
    ids = left.exclude(Exists(refused_lately)).order_by("id").values_list("pk", flat=True)
    return list(ids[:CHUNK])


def _stop(batch: OrderBatch, row: OrderRow, halt: Halt) -> bool:
    """Cancel one locked order if it still wants canceling; returns whether it did."""
    if row.finished_at is not None:
        return False
    if row.state == OrderState.ACCEPTED:
        cancel_unsent(batch, row, halt)
        return True
    if row.cancel_requested_at is not None:
        return False
    row.cancel_requested_at = batch.now
    batch.note(row, "cancel_requested", STOPPED_BY, actor=halt.engaged_by, reason=halt.reason, switch=halt.id)
    return True
