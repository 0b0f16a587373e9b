"""Freezing trading, and letting it go on: from a freeze's commit on no order it covers is marked as being sent.

Sending looks at the freezes inside its own statement, in the statement's own snapshot. Orders that wait
for a freeze are kept and sent when it is lifted, or refused where their caller wanted that. Cancels,
look-ups and reads always pass.
"""

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from brokers.core.freezes import FreezeCause, FreezeMode, ReleaseRule, parse_freeze_scope, release_rule
from brokers.core.halts import Scope
from brokers.models import Freeze, FreezeEvent
from brokers.selectors.freezes import SETTLED, accounts_frozen_by
from brokers.selectors.recovery import is_symbol_settled
from brokers.services.four_eyes import APPROVE_PERMISSION, checked_reason, require_person, require_second_person
from brokers.services.halts import forget_halts, frozen_wait_name
from brokers.services.scopes import find_target, scope_target
from reliability.core.errors import ReliabilityError
from reliability.core.text import storable
from reliability.services.audit import record_audit
from reliability.services.jobs.recall import recall_jobs

RELEASE_PERMISSION = "brokers.release_freeze"
CONFIRM_PERMISSIONS = (RELEASE_PERMISSION, APPROVE_PERMISSION)
_MODES = (FreezeMode.REDUCE_ONLY, FreezeMode.HALT)  # the stricter last


def freeze_trading(
    scope: Scope,
    mode: FreezeMode,
    cause: FreezeCause,
    *,
    reason: str,
    evidence: Mapping[str, Any] | None = None,
    by: str,
) -> int:
    """Freeze trading in ``scope`` for a cause, in the caller's transaction; returns the freeze's id.

    While one for the same scope and cause is in force it is kept, and made stricter where ``mode`` is;
    it is never made laxer. In force from the commit on.

    Raises:
        ReliabilityError: the scope names nothing there is, or there is no reason.
    """
    reason = checked_reason(reason)
    try:
        target = {**find_target(scope), "symbol": scope.symbol}
    except LookupError as error:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", details={"scope": [str(error)]}) from None
    known = _in_force(target, cause)
    if known is None:
        try:
            with transaction.atomic():
                return _begin(target, mode, cause, reason, dict(evidence or {}), by)
        except IntegrityError:
            known = _in_force(target, cause)
            if known is None:
                raise  # it was released in this very moment
    if _MODES.index(mode) > _MODES.index(FreezeMode(known.mode)):
        _tighten(known.pk, mode, reason, by)
    return known.pk


def freeze_by_person(scope: str, mode: FreezeMode, *, reason: str, by: str) -> Freeze:
    """Freeze what a text names, because a person wants it; the text is as ``SCOPE_HELP`` says.

    Raises:
        ReliabilityError: the scope names nothing there is, or there is no reason.
    """
    scope_target(scope, parse_freeze_scope)  # so that a wrong one is a wrong request
    with transaction.atomic():
        freeze_id = freeze_trading(parse_freeze_scope(scope), mode, FreezeCause.PERSON, reason=reason, by=by)
        return Freeze.objects.select_related("account").get(pk=freeze_id)


def release_freeze(freeze_id: int, *, by: str, reason: str, evidence: Mapping[str, Any] | None = None) -> Freeze:
    """Lift a freeze whose cause lets one do it: the program after a clean cycle, or a person with a reason.

    Args:
        freeze_id: The freeze.
        by: A username, or the part of the program that saw a clean cycle.
        reason: Why trading can go on.
        evidence: What the program saw.

    Raises:
        ReliabilityError: no such freeze in force, no reason, ``by`` is no person where one is needed, or
            money is in doubt: then two persons lift it, see ``request_freeze_release``.
    """
    reason = checked_reason(reason)
    with transaction.atomic():
        freeze = _lock_in_force(freeze_id)
        rule = release_rule(FreezeCause(freeze.cause))
        if rule is ReleaseRule.TWO_PERSONS:
            raise ReliabilityError("VALIDATION_WRONG_STATE", "Money is in doubt: two persons release this freeze.")
        if rule is ReleaseRule.ONE_PERSON:
            by = _require_person(by)
        _release(freeze, by, reason, **dict(evidence or {}))
    return freeze


def note_settled(freeze_id: int, *, by: str, reason: str, evidence: Mapping[str, Any]) -> None:
    """Record that the outcome of each order for a frozen symbol is known; what comes after may lift the freeze.

    Raises:
        ReliabilityError: no such freeze in force, it is about something else, or an order for the symbol is unknown.
    """
    with transaction.atomic():
        _record(_lock_settled(freeze_id), SETTLED, by, reason, **evidence)


def release_settled(freeze_id: int, *, by: str, reason: str, clean_run: int) -> None:
    """Lift the freeze of a symbol of which an order was unknown, once a reconciliation after that found nothing.

    While an order for the symbol is unknown only two persons lift it, see ``request_freeze_release``.

    Raises:
        ReliabilityError: no such freeze in force, it is about something else, or an order for the symbol is unknown.
    """
    with transaction.atomic():
        freeze = _lock_settled(freeze_id)
        freeze.clean_run = clean_run
        freeze.save(update_fields=["clean_run"])
        _release(freeze, by, reason, run=clean_run)


def request_freeze_release(freeze_id: int, *, by: str, reason: str) -> Freeze:
    """Ask for a freeze to be lifted where money is in doubt; another person confirms it within the hour.

    Raises:
        ReliabilityError: no such freeze in force, one may lift it alone, no such person, or no reason.
    """
    reason = checked_reason(reason)
    with transaction.atomic():
        person = _require_person(by)
        freeze = _lock_in_force(freeze_id)
        if release_rule(FreezeCause(freeze.cause)) is not ReleaseRule.TWO_PERSONS:
            raise ReliabilityError("VALIDATION_WRONG_STATE", "One person may release this freeze: nobody confirms it.")
        freeze.release_wanted_by, freeze.release_wanted_at = person, timezone.now()
        freeze.release_reason = reason
        freeze.save(update_fields=["release_wanted_by", "release_wanted_at", "release_reason"])
        _record(freeze, "release_wanted", person, reason)
    return freeze


def confirm_freeze_release(freeze_id: int, *, by: str, reason: str = "") -> Freeze:
    """Lift a freeze that another person asked to lift; orders are sent again from the commit on.

    Raises:
        ReliabilityError: no such freeze in force, nobody asked within the hour, or who confirms asked for it or is
            no approver.
    """
    with transaction.atomic():
        person = require_person(by, "confirm the release of freezes", *CONFIRM_PERMISSIONS)
        freeze = _lock_in_force(freeze_id)
        require_second_person(person, wanted_by=freeze.release_wanted_by, wanted_at=freeze.release_wanted_at)
        _require_person(freeze.release_wanted_by)
        why = str(storable(reason)).strip() or freeze.release_reason
        _release(freeze, person, why, wanted_by=freeze.release_wanted_by)
    return freeze


# -- inside ---------------------------------------------------------------------------------


def _in_force(target: dict[str, Any], cause: FreezeCause) -> Freeze | None:
    return Freeze.objects.filter(**target, cause=cause, released_at=None).first()


def _begin(
    target: dict[str, Any], mode: FreezeMode, cause: FreezeCause, reason: str, evidence: dict[str, Any], by: str
) -> int:
    facts = {"mode": mode, "cause": cause, "reason": reason, "evidence": storable(evidence), "frozen_by": by}
    freeze = Freeze.objects.create(**target, **facts)
    _record(freeze, "frozen", by, reason, mode=mode.value, cause=cause.value, seen=storable(evidence))
    _forget()
    transaction.on_commit(lambda: _note_in_force(freeze.pk, by))
    return freeze.pk


def _note_in_force(freeze_id: int, by: str) -> None:
    """Record an instant from which on no order that it covers was marked as being sent."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO brokers_freezeevent (freeze_id, kind, actor, reason, evidence, recorded_at) "
            "VALUES (%s, 'in_force', %s, '', '{}', clock_timestamp())",
            [freeze_id, by],
        )


def _tighten(freeze_id: int, mode: FreezeMode, reason: str, by: str) -> None:
    freeze = Freeze.objects.select_for_update(of=("self",)).select_related("account").get(pk=freeze_id)
    if freeze.released_at is not None or freeze.mode == mode:
        return
    before, freeze.mode = freeze.mode, mode.value
    freeze.release_wanted_by, freeze.release_wanted_at, freeze.release_reason = "", None, ""  # of the milder one
    freeze.save(update_fields=["mode", "release_wanted_by", "release_wanted_at", "release_reason"])
    _record(freeze, "tightened", by, reason, before=before, mode=mode.value)
    _forget()


def _release(freeze: Freeze, by: str, reason: str, **evidence: Any) -> None:
    freeze.released_by, freeze.released_at = by, timezone.now()
    freeze.save(update_fields=["released_by", "released_at"])
    _record(freeze, "released", by, reason, **evidence)
    for name in accounts_frozen_by(freeze).values_list("name", flat=True):
        recall_jobs(frozen_wait_name(name))
    _forget()


def _forget() -> None:
    """Let this process read the freezes again: now, for this transaction, and once others see what it wrote."""
    forget_halts()
    transaction.on_commit(forget_halts)


def _record(freeze: Freeze, kind: str, actor: str, reason: str, **evidence: Any) -> None:
    FreezeEvent.objects.create(freeze=freeze, kind=kind, actor=actor, reason=reason, evidence=evidence)
    after = {"freeze": freeze.pk, **evidence}
    record_audit(actor, f"freeze_{kind}", f"freeze:{freeze.scope}", after=after, reason=reason)


def _lock_in_force(freeze_id: int) -> Freeze:
    rows = Freeze.objects.select_for_update(of=("self",)).select_related("account")
    freeze = rows.filter(pk=freeze_id).first()
    if freeze is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such freeze.")
    if freeze.released_at is not None:
        raise ReliabilityError("VALIDATION_WRONG_STATE", f"{freeze.released_by} released it already.")
    return freeze


def _lock_settled(freeze_id: int) -> Freeze:
    freeze = _lock_in_force(freeze_id)
    if freeze.cause != FreezeCause.UNKNOWN_ORDER or freeze.account_id is None or not freeze.symbol:
        raise ReliabilityError("VALIDATION_WRONG_STATE", "This freeze is not about an unknown order for a symbol.")
    if not is_symbol_settled(freeze.account_id, freeze.symbol):
        raise ReliabilityError("VALIDATION_WRONG_STATE", f"An order for {freeze.symbol} is unknown.")
    return freeze


def _require_person(username: str) -> str:
    return require_person(username, "release freezes", RELEASE_PERMISSION)
