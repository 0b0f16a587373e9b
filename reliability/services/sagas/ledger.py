"""One saga under lock: its changes, their events, and the jobs that follow from them.

Locks are taken in a fixed order: jobs, then sagas by id, then whatever the steps are about.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.utils import timezone

from reliability.core.errors import ReliabilityError
from reliability.core.jobs import JobError
from reliability.core.saga import (
    ENDED,
    CompensationState,
    Moves,
    Phase,
    SagaState,
    StepFacts,
    StepOrder,
    StepState,
    next_moves,
)
from reliability.core.text import storable
from reliability.models import Saga, SagaEvent, SagaStep
from reliability.services.jobs.enqueue import NewJob, enqueue_job
from reliability.services.sagas.kinds import StepContext, get_saga_kind

JOB_PREFIX = "saga."
_CHANGING = (
    "state", "attempts", "result", "error_code", "error_message", "compensation", "undo_round", "compensation_result",
)  # fmt: skip
_values = attrgetter(*_CHANGING)


class SagaLedger:
    """A locked saga with its steps. Change it, then ``go_on`` once and ``save``."""

    def __init__(self, saga: Saga) -> None:
        self.saga = saga
        self.steps = {step.number: step for step in SagaStep.objects.filter(saga=saga).order_by("number")}
        self._events: list[SagaEvent] = []
        self._written = {number: _values(step) for number, step in self.steps.items()}

    @classmethod
    def lock(cls, saga_id: UUID) -> "SagaLedger":
        """Raises ``ReliabilityError`` when there is no such saga."""
        saga = Saga.objects.select_for_update().filter(pk=saga_id).first()
        if saga is None:
            raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such saga.")
        return cls(saga)

    @property
    def state(self) -> SagaState:
        return SagaState(self.saga.state)

    @property
    def is_overdue(self) -> bool:
        return self.saga.deadline_at is not None and self.saga.deadline_at <= timezone.now()

    def move(
        self, state: SagaState, kind: str, *, actor: str = "", error: JobError | None = None, **detail: Any
    ) -> None:
        """Move the saga; an error is kept as the reason why it turned back or stopped."""
        if error is not None:
            self.saga.error_code, self.saga.error_message = error.code, error.message[:1000]
            detail = {**detail, "code": error.code, "message": error.message[:1000]}
        self._note(kind, None, self.saga.state, state, actor, detail)
        self.saga.state = state.value
        if state in ENDED:
            self.saga.finished_at = timezone.now()

    def move_step(
        self, number: int, state: StepState, kind: str, *, error: JobError | None = None, **detail: Any
    ) -> None:
        step = self.steps[number]
        if error is not None:
            step.error_code, step.error_message = error.code, error.message[:1000]
            detail = {**detail, "code": error.code, "message": error.message[:1000]}
        self._note(kind, number, step.state, state, "", detail)
        step.state = state.value

    def move_compensation(
        self, number: int, state: CompensationState, kind: str, *, error: JobError | None = None, **detail: Any
    ) -> None:
        step = self.steps[number]
        if error is not None:
            detail = {**detail, "code": error.code, "message": error.message[:1000]}
        self._note(kind, number, step.compensation, state, "", detail)
        step.compensation = state.value

    def turn_back(self, *, actor: str = "", error: JobError | None = None) -> None:
        """Give the saga up: what was begun is to be taken back."""
        if error is None:
            failed = next(step for step in self.steps.values() if step.state == StepState.FAILED)
            error = JobError(failed.error_code, failed.error_message)
        self.move(SagaState.COMPENSATING, "turned_back", actor=actor, error=error)
        get_saga_kind(self.saga.kind).on_turning_back(self.saga.pk)

    def note(self, kind: str, step: int | None, *, actor: str = "", **detail: Any) -> None:
        """Record what leaves every state as it is."""
        self._note(kind, step, "", "", actor, detail)

    def go_on(self) -> None:
        """Make the moves that follow from the rows, and enqueue their jobs in the same transaction."""
        self._take(next_moves(self.state, StepOrder(self.saga.step_order), self._facts()))

    def enqueue(self, number: int, phase: Phase) -> None:
        """Make the job of a step; at most one of each phase is unfinished."""
        job = NewJob(
            subject=self.saga.pk,
            payload={"step": number, "phase": phase.value},
            unique_key=f"saga:{self.saga.pk}:{number}:{phase.value}",
            correlation_id=self.saga.correlation_id,
        )
        enqueue_job(JOB_PREFIX + self.saga.kind, job, priority=get_saga_kind(self.saga.kind).priority)

    def context(self, number: int) -> StepContext:
        step = self.steps[number]
        return context_of(self.saga, step)

    def save(self) -> None:
        self.saga.version += len(self._events)
        self.saga.save()
        changed = [step for number, step in self.steps.items() if _values(step) != self._written[number]]
        SagaStep.objects.bulk_update(changed, _CHANGING)
        self._written.update((step.number, _values(step)) for step in changed)
        SagaEvent.objects.bulk_create(self._events)
        self._events = []

    # -- inside -------------------------------------------------------------------------

    def _facts(self) -> list[StepFacts]:
        return [
            StepFacts(
                step.number, StepState(step.state), CompensationState(step.compensation), step.payload.get("stage", 0)
            )
            for step in self.steps.values()
        ]

    def _take(self, moves: Moves) -> None:
        if moves.state is not self.state:
            if moves.state is SagaState.COMPENSATING:
                self.turn_back()
            else:
                self.move(moves.state, moves.state.value)
        for number in moves.begin:
            self.move_step(number, StepState.RUNNING, "step_begun")
            self.enqueue(number, Phase.RUN)
        for number in moves.undo:
            self.steps[number].undo_round += 1
            self.move_compensation(number, CompensationState.RUNNING, "undo_begun", round=self.steps[number].undo_round)
            self.enqueue(number, Phase.UNDO)

    def _note(self, kind: str, step: int | None, before: str, after: str, actor: str, detail: dict[str, Any]) -> None:
        sequence = self.saga.version + len(self._events) + 1
        self._events.append(
            SagaEvent(
                saga=self.saga,
                sequence=sequence,
                kind=kind,
                step=step,
                from_state=before,
                to_state=after,
                actor=actor,
                detail=storable(detail),
            )
        )


def context_of(saga: Saga, step: SagaStep) -> StepContext:
    return StepContext(
        saga_id=saga.pk,
        saga_payload=saga.payload,
        number=step.number,
        payload=step.payload,
        result=step.result,
        undo_round=step.undo_round,
        correlation_id=saga.correlation_id,
    )


def change_saga(saga_id: UUID, change: Callable[[SagaLedger], None]) -> SagaState:
    """Change one saga under its lock, in the caller's transaction, and let it go on; returns its state."""
    ledger = SagaLedger.lock(saga_id)
    change(ledger)
    ledger.go_on()
    ledger.save()
    return ledger.state
