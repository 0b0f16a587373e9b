"""Follow a runbook: one step after the other, each written down before it runs; aborted or taken up at any time.

An action is planned first (a dry run), then carried out from that very plan. Should the process die in between, the
step is found running; taken up again, the same plan is carried out, which has the effect of once.
"""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.utils import timezone

from reliability.core.errors import ReliabilityError
from reliability.core.runbooks import RUNBOOKS, RunbookStep, StepKind
from reliability.models import Incident, RunbookExecution, RunbookStepRun
from reliability.services.audit import record_audit
from reliability.services.runbook_actions import get_action
from reliability.services.timeline import Happening, record_timeline

LONGEST_NOTE = 1000


def start_runbook(name: str, scope: str, *, actor: str, incident_id: int | None = None) -> RunbookExecution:
    """Begin to follow a runbook for a scope, with a copy of its steps as they are now.

    Raises:
        ReliabilityError: there is no such runbook or incident, or its actions cannot be run on this scope.
    """
    runbook = RUNBOOKS.get(name)
    if runbook is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no runbook called {name[:100]!r}.")
    steps = runbook.steps_for(scope)
    if steps is None:
        text = f"Its actions are run on something like {runbook.prefix}NAME."
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", text, {"scope": [text]})
    if incident_id is not None and not Incident.objects.filter(pk=incident_id).exists():
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no incident {incident_id}.")
    with transaction.atomic():
        execution = RunbookExecution.objects.create(
            runbook=name,
            version=runbook.version,
            title=runbook.title[:300],
            scope=scope[:200],
            steps=[step.to_dict() for step in steps],
            incident_id=incident_id,
            started_by=actor,
        )
        record_audit(
            actor, "start_runbook", f"runbook_execution:{execution.pk}", after={"runbook": name, "scope": scope}
        )
        _tell_incident(execution, "runbook_began", actor, name)
    return execution


def current_step(execution: RunbookExecution) -> RunbookStep | None:
    """Return the step that is next, or None at the end."""
    if execution.state != "running" or execution.step >= len(execution.steps):
        return None
    values = dict(execution.steps[execution.step])
    return RunbookStep(StepKind(values.pop("kind")), **values)


def plan_step(execution_id: int, number: int, *, actor: str) -> str:
    """Dry-run the action that is next; writes what it would do, and returns that. Again plans anew.

    Raises:
        ReliabilityError: that step is not next or no action, or its action says why it cannot.
    """
    with transaction.atomic():
        execution, step = _lock(execution_id, number)
        if step.kind is not StepKind.ACTION:
            raise ReliabilityError("VALIDATION_WRONG_STATE", "This step has nothing to plan.")
        if RunbookStepRun.objects.filter(execution=execution, number=number, state="running").exists():
            raise ReliabilityError("VALIDATION_WRONG_STATE", "It was begun already: carry it out again.")
        plan = get_action(step.action).plan(_target(execution))
        RunbookStepRun.objects.filter(execution=execution, number=number, state="planned").update(
            state="refused", output="planned anew", ended_at=timezone.now()
        )
        _write(execution, number, step, actor, "planned", inputs=dict(plan.inputs), plan=plan.text)
    return plan.text


def carry_out_step(execution_id: int, number: int, *, actor: str, note: str = "") -> str:
    """Do the step that is next and return what came of it; ``note`` is what was seen, decided or written.

    Raises:
        ReliabilityError: that step is not next; a wait is not over; a gate wants another person; an action was not
            planned, or fails: then the step can be planned and tried again.
    """
    note = note.strip()[:LONGEST_NOTE]
    with transaction.atomic():
        execution, step = _lock(execution_id, number)
        if step.kind is not StepKind.ACTION:
            return _do_by_hand(execution, number, step, actor, note)
        run = _begin_action(execution, number, actor)
    return _run_action(run.pk, step, actor, note)


def abort_runbook(execution_id: int, *, actor: str, reason: str) -> None:
    """Stop following it; what was done stays done. Raises ``ReliabilityError``."""
    if not reason.strip():
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Give a reason: it is kept with the execution.")
    with transaction.atomic():
        execution = RunbookExecution.objects.select_for_update().filter(pk=execution_id, state="running").first()
        if execution is None:
            raise ReliabilityError("VALIDATION_WRONG_STATE", "It does not run.")
        _end(execution, "aborted", actor, reason)


def resume_runbook(execution_id: int, *, actor: str) -> None:
    """Take an aborted execution up again where it was. Raises ``ReliabilityError``."""
    with transaction.atomic():
        execution = RunbookExecution.objects.select_for_update().filter(pk=execution_id, state="aborted").first()
        if execution is None:
            raise ReliabilityError("VALIDATION_WRONG_STATE", "It was not aborted.")
        execution.state, execution.ended_by, execution.ended_at = "running", "", None
        execution.save()
        record_audit(actor, "resume_runbook", f"runbook_execution:{execution.pk}")


# -- inside ---------------------------------------------------------------------------------


def _lock(execution_id: int, number: int) -> tuple[RunbookExecution, RunbookStep]:
    execution = RunbookExecution.objects.select_for_update().filter(pk=execution_id).first()
    if execution is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no execution {execution_id}.")
    step = current_step(execution)
    if step is None or execution.step != number:
        raise ReliabilityError("VALIDATION_WRONG_STATE", "That step is not the next one.")
    return execution, step


def _do_by_hand(execution: RunbookExecution, number: int, step: RunbookStep, actor: str, note: str) -> str:
    if step.kind is StepKind.GATE and actor == execution.started_by:
        raise ReliabilityError("AUTH_PERMISSION_DENIED", "Another person than who began it agrees.")
    if step.kind is StepKind.WAIT:
        until = execution.step_began_at + timedelta(seconds=step.wait_seconds)
        if timezone.now() < until:
            raise ReliabilityError("VALIDATION_WRONG_STATE", f"Wait until {until:%H:%M:%S}Z.")
    if step.kind in (StepKind.CHECK, StepKind.NOTE) and not note:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Write down what you saw.")
    output = note or ("agreed" if step.kind is StepKind.GATE else "waited")
    _write(execution, number, step, actor, "done", output=output)
    _advance(execution, actor)
    return output


def _begin_action(execution: RunbookExecution, number: int, actor: str) -> RunbookStepRun:
    """Write that it runs, and commit that, before anything is done."""
    run = RunbookStepRun.objects.filter(execution=execution, number=number, state__in=["planned", "running"]).first()
    if run is None:
        raise ReliabilityError("VALIDATION_WRONG_STATE", "Plan it first: see what it would do.")
    run.state, run.actor = "running", actor
    run.save(update_fields=["state", "actor"])
    return run


def _run_action(run_id: int, step: RunbookStep, actor: str, note: str) -> str:
    try:
        with transaction.atomic():
            run = RunbookStepRun.objects.select_for_update().get(pk=run_id)
            if run.state != "running":
                return run.output
            reason = f"runbook execution {run.execution_id}, step {run.number + 1}" + (f": {note}" if note else "")
            output = get_action(step.action).carry_out(run.inputs, actor, reason[:500])
            run.state, run.output, run.ended_at = "done", output[:1000], timezone.now()
            run.save(update_fields=["state", "output", "ended_at"])
            _advance(RunbookExecution.objects.select_for_update().get(pk=run.execution_id), actor)
    except ReliabilityError as error:
        RunbookStepRun.objects.filter(pk=run_id, state="running").update(
            state="failed", output=str(error)[:1000], ended_at=timezone.now()
        )
        raise
    return output


def _advance(execution: RunbookExecution, actor: str) -> None:
    execution.step += 1
    execution.step_began_at = timezone.now()
    execution.save(update_fields=["step", "step_began_at"])
    if execution.step >= len(execution.steps):
        _end(execution, "finished", actor, "")


def _end(execution: RunbookExecution, state: str, actor: str, reason: str) -> None:
    execution.state, execution.ended_by, execution.ended_at = state, actor, timezone.now()
    execution.save(update_fields=["state", "ended_by", "ended_at"])
    record_audit(actor, f"{state}_runbook", f"runbook_execution:{execution.pk}", reason=reason)
    _tell_incident(execution, f"runbook_{state}", actor, reason)


def _write(
    execution: RunbookExecution, number: int, step: RunbookStep, actor: str, state: str, **values: Any
) -> RunbookStepRun:
    return RunbookStepRun.objects.create(
        execution=execution,
        number=number,
        kind=step.kind,
        action=step.action,
        key=f"{execution.pk}:{number}:{uuid4().hex[:12]}",
        state=state,
        actor=actor,
        ended_at=timezone.now() if state == "done" else None,
        **values,
    )


def _target(execution: RunbookExecution) -> str:
    """Return what actions are run on: the scope without its kind, and without what is narrower than it."""
    return execution.scope.partition(":")[2].partition("/")[0]


def _tell_incident(execution: RunbookExecution, kind: str, actor: str, reason: str) -> None:
    if execution.incident_id is not None:
        detail = {"runbook": execution.runbook, "execution": execution.pk}
        record_timeline([Happening("incident", execution.incident_id, kind, actor=actor, reason=reason, detail=detail)])
