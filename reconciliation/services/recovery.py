"""Starting recovery runs: what was noticed is a row, and one run at a time takes what waits on its account.

A run is a saga (``recovery_steps``). A newer disconnect voids an older run; its successor takes over the freeze, so
that trading on the account goes on only when a run has ended well.
"""

import logging
from datetime import datetime
from uuid import uuid4

from django.db import connection, transaction
from django.db.models import Max, Min
from django.utils import timezone

from brokers.core.freezes import FreezeCause, FreezeMode
from brokers.core.halts import Scope, ScopeKind
from brokers.core.identifiers import uuid7
from brokers.selectors.freezes import account_freezes
from brokers.selectors.recovery import AccountName, find_stream, get_account_name, has_orders
from brokers.services.freezes import freeze_trading
from reconciliation.core.recovery import (
    STAGES,
    RecoveryState,
    Starting,
    TriggerKind,
    decide_start,
    needs_freeze,
)
from reconciliation.models import RecoveryRun, RecoveryTrigger
from reconciliation.services.recovery_steps import AUTOMATIC_CAUSES, DEADLINE, RECOVERY_KIND
from reliability.core.errors import ReliabilityError
from reliability.core.saga import StepOrder
from reliability.services.audit import record_audit
from reliability.services.sagas.control import NewStep, cancel_saga, start_saga

BY = "recovery"
_LOCK_CLASS = 0x5243  # the first key of the lock on starting runs; the second is the account

logger = logging.getLogger(__name__)


def request_recovery(account_id: int, *, trigger: str = TriggerKind.PERSON, by: str, reason: str = "") -> int:
    """Have an account recovered now, and return the run's id; one that is under way is void.

    Args:
        account_id: The account.
        trigger: A ``TriggerKind``.
        by: A username, or the part of the program that noticed something.
        reason: Kept with the run.

    Raises:
        ReliabilityError: there is no such trigger.
    """
    try:
        kind = TriggerKind(trigger)
    except ValueError:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", details={"trigger": ["no such trigger"]}) from None
    with transaction.atomic():
        key = f"{kind.value}:{uuid4()}"
        note_trigger(account_id, kind, key, since=timezone.now(), by=by, reason=reason)
        if kind is TriggerKind.PERSON:
            record_audit(by, "request_recovery", f"account:{get_account_name(account_id).name}", reason=reason)
        start_waiting(account_id)
        run = RecoveryRun.objects.filter(account_id=account_id).order_by("-generation").first()
        assert run is not None
        return run.pk


def note_trigger(account_id: int, kind: TriggerKind, key: str, *, since: datetime, by: str, reason: str = "") -> None:
    """Record that something happened, once however often it is noticed, in the caller's transaction."""
    row = RecoveryTrigger(
        account_id=account_id, kind=kind, key=key[:200], since=since, noticed_by=by, reason=reason[:500]
    )
    RecoveryTrigger.objects.bulk_create([row], ignore_conflicts=True)


def start_all_waiting() -> None:
    """Start a run on each account on which a trigger waits and none has to be waited for."""
    waiting = RecoveryTrigger.objects.filter(run=None)
    for account_id in sorted(set(waiting.values_list("account_id", flat=True))):
        with transaction.atomic():
            start_waiting(account_id)


def start_waiting(account_id: int) -> None:
    """Start a run for the triggers that wait on an account, unless one that is still worth something runs."""
    _lock(account_id)
    waiting = list(RecoveryTrigger.objects.filter(account_id=account_id, run=None).order_by("id"))
    running = RecoveryRun.objects.filter(account_id=account_id, state=RecoveryState.RUNNING).first()
    kinds = [TriggerKind(row.kind) for row in waiting]
    decision = decide_start(kinds, is_running=running is not None)
    if decision is Starting.WAIT:
        return
    if running is not None:
        _supersede(running, waiting[-1])
    _start(get_account_name(account_id), waiting, kinds)


# -- inside ---------------------------------------------------------------------------------


def _lock(account_id: int) -> None:
    """Let one process at a time start runs on an account; taken before sagas, runs and freezes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK_CLASS, account_id])


def _supersede(run: RecoveryRun, newer: RecoveryTrigger) -> None:
    reason = f"{newer.kind.replace('_', ' ')}: {newer.reason}"[:1000]
    changed = RecoveryRun.objects.filter(pk=run.pk, state=RecoveryState.RUNNING)
    changed.update(
        state=RecoveryState.SUPERSEDED,
        finished_at=timezone.now(),
        error_code="SYSTEM_RECOVERY_VOID",
        error_message=reason,
    )
    try:
        cancel_saga(run.saga_id, actor=BY, reason=reason)
    except ReliabilityError as error:
        if error.code != "VALIDATION_WRONG_STATE":  # it ended by itself in this moment
            raise


def _start(account: AccountName, waiting: list[RecoveryTrigger], kinds: list[TriggerKind]) -> None:
    saga_id = uuid7()
    run = RecoveryRun.objects.create(
        account_id=account.id,
        generation=_next_generation(account.id),
        saga_id=saga_id,
        trigger=waiting[0].kind,
        requested_by=waiting[0].noticed_by,
        freezes_trading=_is_frozen(account.name) or _needs_freeze(account.id, kinds),
        disrupted_at=_disrupted_at(account, waiting),
    )
    RecoveryTrigger.objects.filter(pk__in=[row.pk for row in waiting]).update(run=run)
    if run.freezes_trading:
        reason = f"Recovery {run.pk} finds out what happened: {kinds[0].value.replace('_', ' ')}."
        scope = Scope(ScopeKind.ACCOUNT, account.name)
        evidence = {"run": run.pk, "triggers": [row.key for row in waiting]}
        freeze_trading(scope, FreezeMode.HALT, FreezeCause.RECOVERY, reason=reason, evidence=evidence, by=BY)
    steps = [NewStep(action, {"stage": number}) for number, stage in enumerate(STAGES) for action in stage]
    start_saga(
        saga_id,
        RECOVERY_KIND,
        steps,
        payload={"account": account.id, "run": run.pk},
        order=StepOrder.STAGED,
        deadline_at=timezone.now() + DEADLINE,
        actor=BY,
    )
    logger.info("recovery begun", extra={"account": account.name, "run": run.pk, "triggers": [k.value for k in kinds]})


def _next_generation(account_id: int) -> int:
    last = RecoveryRun.objects.filter(account_id=account_id).aggregate(last=Max("generation"))["last"]
    return (last or 0) + 1


def _is_frozen(account: str) -> bool:
    return any(freeze.cause in AUTOMATIC_CAUSES for freeze in account_freezes(account))


def _needs_freeze(account_id: int, kinds: list[TriggerKind]) -> bool:
    stream = find_stream(account_id)
    stream_is_up = stream is not None and stream.is_up
    return needs_freeze(kinds, stream_is_up=stream_is_up, is_untouched=not has_orders(account_id))


def _disrupted_at(account: AccountName, waiting: list[RecoveryTrigger]) -> datetime:
    """Return since when something has been wrong: of a chain of runs that did not recover it, since its beginning."""
    instants = [row.since for row in waiting]
    instants += [one.frozen_at for one in account_freezes(account.name) if one.cause in AUTOMATIC_CAUSES]
    good = RecoveryRun.objects.filter(account_id=account.id, state=RecoveryState.RECOVERED)
    last_good = good.aggregate(last=Max("generation"))["last"] or 0
    since = RecoveryRun.objects.filter(account_id=account.id, generation__gt=last_good, finished_at__isnull=False)
    earliest = since.aggregate(first=Min("disrupted_at"))["first"]
    return min(instants if earliest is None else [*instants, earliest])
