"""Starting sagas, and what people decide about them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from reliability.core.correlation import correlation_or_new
from reliability.core.errors import ReliabilityError
from reliability.core.jobs import JobError, JobState
from reliability.core.saga import ENDED, RESTORED, CompensationState, Phase, SagaState, StepOrder
from reliability.models import Job, Saga, SagaStep
from reliability.services.audit import record_audit
from reliability.services.jobs.deadletters import discard_dead_letters, replay_dead_letters
from reliability.services.jobs.handing_over import hand_over
from reliability.services.sagas.kinds import get_saga_kind
from reliability.services.sagas.ledger import JOB_PREFIX, SagaLedger


@dataclass(frozen=True, slots=True)
class NewStep:
    """One step to be: the name of an action of the saga's kind, and plain JSON data."""

    action: str
    payload: dict[str, Any] = field(default_factory=dict)


def start_saga(
    saga_id: UUID,
    kind: str,
    steps: Sequence[NewStep],
    *,
    payload: dict[str, Any] | None = None,
    order: StepOrder = StepOrder.SEQUENTIAL,
    deadline_at: datetime | None = None,
    actor: str = "",
) -> None:
    """Write a saga and the jobs of its first steps, in the caller's transaction.

    Args:
        saga_id: Chosen by the caller, so that its own rows can name the saga.
        kind: A registered kind; every action of ``steps`` must be one of its.
        deadline_at: When it is passed with steps undone, the saga turns back.

    Raises:
        ValueError: there are no steps, or an action is not one of the kind's.
    """
    unknown = {step.action for step in steps} - get_saga_kind(kind).actions.keys()
    if unknown or not steps:
        raise ValueError(f"a saga {kind!r} of steps {sorted(unknown)}" if unknown else "a saga without steps")
    with transaction.atomic():
        saga = Saga.objects.create(
            pk=saga_id,
            kind=kind,
            step_order=order,
            payload=payload or {},
            correlation_id=correlation_or_new(),
            deadline_at=deadline_at,
        )
        SagaStep.objects.bulk_create(
            SagaStep(saga=saga, number=number, action=step.action, payload=step.payload)
            for number, step in enumerate(steps, start=1)
        )
        ledger = SagaLedger(saga)
        ledger.note("started", None, actor=actor, steps=len(steps))
        ledger.go_on()
        ledger.save()


def cancel_saga(saga_id: UUID, *, actor: str, reason: str) -> SagaState:
    """Give a running saga up: what was begun is taken back. Asking again while it turns back changes nothing.

    Raises:
        ReliabilityError: there is no such saga, or it has ended.
    """
    with transaction.atomic():
        ledger = SagaLedger.lock(saga_id)
        if ledger.state in ENDED:
            raise ReliabilityError("VALIDATION_WRONG_STATE", f"It has ended already: {ledger.state}.")
        if ledger.state is SagaState.RUNNING:
            ledger.turn_back(actor=actor, error=JobError("SYSTEM_SAGA_CANCELED", reason or "It was canceled."))
            record_audit(actor, "cancel_saga", f"saga:{saga_id}", reason=reason)
            ledger.go_on()
            ledger.save()
        return ledger.state


def resume_saga(saga_id: UUID, *, actor: str, reason: str) -> SagaState:
    """Take the failed compensation up again, for example after a person mended what hindered it.

    Raises:
        ReliabilityError: there is no such saga, it does not wait for a person, or no reason is given.
    """
    _require_reason(reason)
    with transaction.atomic():
        dead = _dead_jobs(saga_id)
        if dead:
            replay_dead_letters(dead, actor=actor, reason=reason)
        ledger = SagaLedger.lock(saga_id)
        _require_waiting(ledger)
        ledger.move(SagaState.COMPENSATING, "resumed", actor=actor, reason=reason)
        for number, step in ledger.steps.items():
            if step.compensation == CompensationState.FAILED:
                step.undo_round += 1
                ledger.move_compensation(number, CompensationState.RUNNING, "undo_begun", round=step.undo_round)
                if not dead:
                    ledger.enqueue(number, Phase.UNDO)
        record_audit(actor, "resume_saga", f"saga:{saga_id}", reason=reason)
        ledger.save()
        return ledger.state


def close_saga(saga_id: UUID, *, actor: str, reason: str) -> None:
    """End a saga that waits for a person, who has settled by hand what it could not take back.

    Raises:
        ReliabilityError: there is no such saga, it does not wait for a person, or no reason is given.
    """
    _require_reason(reason)
    with transaction.atomic():
        dead = _dead_jobs(saga_id)
        if dead:
            discard_dead_letters(dead, actor=actor, reason=reason)
        ledger = SagaLedger.lock(saga_id)
        _require_waiting(ledger)
        ledger.move(SagaState.CLOSED, "closed", actor=actor, reason=reason)
        record_audit(actor, "close_saga", f"saga:{saga_id}", reason=reason)
        ledger.save()


def doubt_sagas(kind: str, error: JobError, *, actor: str, reason: str) -> int:
    """Let a person decide on the steps under way of every saga of a kind that came back with a backup.

    Each saga that has not ended notes it, for ``was_restored``. Returns how many jobs became dead letters.
    """
    handed_over = 0
    unfinished = Saga.objects.filter(kind=kind).exclude(state__in=ENDED)
    for saga_id in unfinished.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            handed_over += hand_over(JOB_PREFIX + kind, [saga_id], error, actor=actor)
            ledger = SagaLedger.lock(saga_id)
            ledger.note(RESTORED, None, actor=actor, reason=reason)
            ledger.save()
    return handed_over


def _dead_jobs(saga_id: UUID) -> list[int]:
    """Return the dead letters of a saga's steps."""
    dead = Job.objects.filter(subject=saga_id, state=JobState.DEAD, kind__startswith=JOB_PREFIX)
    return list(dead.order_by("pk").values_list("pk", flat=True))


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "This needs a reason.", {"reason": ["required"]})


def _require_waiting(ledger: SagaLedger) -> None:
    if ledger.state is not SagaState.NEEDS_PERSON:
        raise ReliabilityError("VALIDATION_WRONG_STATE", f"It does not wait for a person: it is {ledger.state}.")
