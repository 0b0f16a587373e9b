"""The job of one step: carry it out or take it back, whichever process comes to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.utils import timezone

from reliability.core.correlation import correlated
from reliability.core.jobs import (
    ClaimedJob,
    Dead,
    Disposition,
    Done,
    JobError,
    NotStartedError,
    Performed,
    Retry,
    Snooze,
)
from reliability.core.saga import (
    CompensationState,
    Failed,
    Finished,
    Phase,
    SagaState,
    StepState,
    TryAgain,
    Verdict,
    Waiting,
)
from reliability.models import SagaStep
from reliability.services.jobs.kinds import JobKind, Prepared, register
from reliability.services.sagas.kinds import SagaKind, StepAction, StepContext, add_saga_kind
from reliability.services.sagas.ledger import JOB_PREFIX, SagaLedger, context_of

_UNTIL_STOPPED = timedelta(milliseconds=100)
_OVERDUE = JobError("SYSTEM_DEADLINE_PASSED", "The saga could not be done before its deadline.")


@dataclass(frozen=True, slots=True)
class StepRequest:
    """What ``perform`` needs; ``begins`` is False when the rows said that no call is wanted any more."""

    phase: Phase
    context: StepContext
    action: StepAction
    begins: bool
    request: Any


class SagaStepJob(JobKind):
    """Runs the steps of one kind of saga, each outcome in a transaction of its own."""

    lane: ClassVar[str] = ""
    name: ClassVar[str] = ""
    applied_together: ClassVar[bool] = False

    def __init__(self, kind: SagaKind) -> None:
        self._kind = kind
        # One class serves every kind of saga, so what other kinds of jobs say of their class is said of the instance.
        vars(self).update(name=JOB_PREFIX + kind.name, lane=kind.lane, retry=kind.retry, timeout=kind.timeout)

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        """Nothing is locked here: whether the step is still wanted is decided when its outcome is written."""
        steps = SagaStep.objects.select_related("saga").filter(saga_id__in={job.subject for job in jobs})
        found: dict[tuple[UUID | None, int], SagaStep] = {(step.saga_id, step.number): step for step in steps}
        return {job.id: self._request(found[job.subject, job.payload["step"]], job) for job in jobs}

    async def perform(self, request: StepRequest) -> Any:
        if not request.begins:
            return None
        if request.phase is Phase.RUN:
            return await request.action.perform(request.request)
        return await request.action.perform_undo(request.request)

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        settled = {}
        for outcome in outcomes:
            assert outcome.job.subject is not None
            with correlated(outcome.job.correlation_id):
                ledger = SagaLedger.lock(outcome.job.subject)
                settled[outcome.job.id] = self._apply_one(ledger, outcome)
                ledger.go_on()
                ledger.save()
        return settled

    def apply_late(self, outcomes: Sequence[Performed]) -> None:
        """The job runs again under another fence, and its action is idempotent: what came late is kept, not used."""
        for outcome in outcomes:
            assert outcome.job.subject is not None
            ledger = SagaLedger.lock(outcome.job.subject)
            said = repr(outcome.error if outcome.error is not None else outcome.result)[:1000]
            ledger.note("late_outcome", outcome.job.payload["step"], said=said, fence=outcome.job.fence)
            ledger.save()

    def discard(self, job: ClaimedJob, actor: str, reason: str) -> None:
        """A step given up fails; a compensation given up still waits for a person."""
        assert job.subject is not None
        ledger = SagaLedger.lock(job.subject)
        number = job.payload["step"]
        step = ledger.steps[number]
        ledger.note("job_discarded", number, actor=actor, reason=reason)
        if job.payload["phase"] == Phase.RUN and step.state == StepState.RUNNING:
            ledger.move_step(number, StepState.FAILED, "step_failed", error=JobError("SYSTEM_STEP_GIVEN_UP", reason))
        elif job.payload["phase"] == Phase.UNDO and step.compensation == CompensationState.RUNNING:
            ledger.move_compensation(number, CompensationState.FAILED, "undo_failed", reason=reason)
        ledger.go_on()
        ledger.save()

    # -- inside -------------------------------------------------------------------------

    def _request(self, step: SagaStep, job: ClaimedJob) -> StepRequest:
        phase = Phase(job.payload["phase"])
        action = self._kind.actions[step.action]
        context = context_of(step.saga, step)
        if phase is Phase.RUN:
            overdue = step.saga.deadline_at is not None and step.saga.deadline_at <= timezone.now()
            begins = step.saga.state == SagaState.RUNNING and step.state == StepState.RUNNING and not overdue
            return StepRequest(phase, context, action, begins, action.prepare(context) if begins else None)
        begins = step.compensation == CompensationState.RUNNING and step.state != StepState.RUNNING
        return StepRequest(phase, context, action, begins, action.prepare_undo(context) if begins else None)

    def _apply_one(self, ledger: SagaLedger, outcome: Performed) -> Disposition:
        if isinstance(outcome.error, NotStartedError):
            return Snooze(timedelta(0), JobError("SYSTEM_WORKER_STOPPING", "The call was not begun."))
        request: StepRequest = outcome.request
        if request.phase is Phase.RUN:
            return self._apply_run(ledger, outcome, request)
        return self._apply_undo(ledger, outcome, request)

    def _apply_run(self, ledger: SagaLedger, outcome: Performed, request: StepRequest) -> Disposition:
        number = request.context.number
        step = ledger.steps[number]
        if step.state != StepState.RUNNING:
            return Done()
        step.attempts = max(step.attempts, outcome.job.attempt)
        turned = ledger.state is not SagaState.RUNNING
        if not request.begins or (turned and not _has_call(request)):
            return self._leave(ledger, number, turned=turned)
        verdict = _limited(self._verdict(ledger, outcome, request), outcome.job)
        if isinstance(verdict, Finished):
            step.result = verdict.result
            ledger.move_step(number, StepState.DONE, "step_done", result=verdict.result)
            return Done()
        if isinstance(verdict, Failed):
            ledger.move_step(number, StepState.FAILED, "step_failed", error=verdict.error)
            return Done()
        if turned:
            return self._leave(ledger, number, turned=True)
        if ledger.is_overdue:
            ledger.move_step(number, StepState.FAILED, "step_failed", error=_OVERDUE)
            return Done()
        return _again(verdict)

    def _leave(self, ledger: SagaLedger, number: int, *, turned: bool) -> Disposition:
        """End a step that is not wanted any more; what it did so far is for its compensation."""
        if turned:
            ledger.move_step(number, StepState.STOPPED, "step_stopped")
            return Done()
        if ledger.is_overdue:
            ledger.move_step(number, StepState.FAILED, "step_failed", error=_OVERDUE)
            return Done()
        return Snooze(_UNTIL_STOPPED)

    def _apply_undo(self, ledger: SagaLedger, outcome: Performed, request: StepRequest) -> Disposition:
        number = request.context.number
        step = ledger.steps[number]
        if step.compensation == CompensationState.FAILED and ledger.state is SagaState.NEEDS_PERSON:
            self._resume(ledger, number)  # its dead letter was replayed
            return Snooze(timedelta(0))
        if step.compensation != CompensationState.RUNNING:
            return Done()
        if step.state == StepState.RUNNING or not request.begins:
            return Snooze(_UNTIL_STOPPED)
        verdict = _limited(self._verdict(ledger, outcome, request), outcome.job)
        if isinstance(verdict, Finished):
            step.compensation_result = verdict.result
            ledger.move_compensation(number, CompensationState.DONE, "undo_done", result=verdict.result)
            return Done()
        if isinstance(verdict, Failed):
            ledger.move_compensation(number, CompensationState.FAILED, "undo_failed", error=verdict.error)
            return Dead(verdict.error)
        return _again(verdict)

    def _resume(self, ledger: SagaLedger, number: int) -> None:
        ledger.move(SagaState.COMPENSATING, "resumed")
        ledger.steps[number].undo_round += 1
        ledger.move_compensation(number, CompensationState.RUNNING, "undo_begun", round=ledger.steps[number].undo_round)

    def _verdict(self, ledger: SagaLedger, outcome: Performed, request: StepRequest) -> Verdict:
        context = ledger.context(request.context.number)
        if outcome.error is not None:
            return request.action.judge_error(context, outcome.error)
        if request.phase is Phase.RUN:
            return request.action.apply(context, outcome.result)
        return request.action.apply_undo(context, outcome.result)


def _again(verdict: Waiting | TryAgain) -> Disposition:
    """A step that waits did all it does: it is alive for minutes, in which processes die by no fault of its own."""
    return Snooze(verdict.delay, is_sound=True) if isinstance(verdict, Waiting) else Retry(verdict.error)


def _limited(verdict: Verdict, job: ClaimedJob) -> Verdict:
    """The last attempt has failed for good."""
    if isinstance(verdict, TryAgain) and job.attempt >= job.max_attempts:
        return Failed(verdict.error)
    return verdict


def _has_call(request: StepRequest) -> bool:
    return request.request is not None


def register_saga_kind(kind: SagaKind) -> None:
    """Make a kind of saga known, together with the kind of job that runs its steps."""
    add_saga_kind(kind)
    register(SagaStepJob(kind))
