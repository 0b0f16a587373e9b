"""Reading runbooks and how they were followed."""

from typing import Any

from reliability.core.runbooks import Runbook
from reliability.models import RunbookExecution, RunbookStepRun


def runbook_facts(runbook: Runbook) -> dict[str, Any]:
    """Return a runbook as plain data."""
    return {
        "name": runbook.name,
        "title": runbook.title,
        "version": runbook.version,
        "scope_prefix": runbook.prefix,
        "steps": [step.to_dict() for step in runbook.steps],
    }


def find_execution(pk: int) -> RunbookExecution | None:
    return RunbookExecution.objects.filter(pk=pk).first()


def list_executions(*, state: str = "", after_id: int | None = None, limit: int = 100) -> list[RunbookExecution]:
    """Return executions, newest first."""
    rows = RunbookExecution.objects.order_by("-id")
    if state:
        rows = rows.filter(state=state)
    if after_id is not None:
        rows = rows.filter(pk__lt=after_id)
    return list(rows[:limit])


def list_step_runs(execution_id: int) -> list[RunbookStepRun]:
    """Return every try of every step, oldest first."""
    return list(RunbookStepRun.objects.filter(execution_id=execution_id).order_by("id"))


def execution_facts(row: RunbookExecution) -> dict[str, Any]:
    """Return an execution with every try of its steps as plain data."""
    names = (
        "runbook", "version", "title", "scope", "steps", "state", "step", "incident_id", "started_by", "started_at",
        "ended_by", "ended_at",
    )  # fmt: skip
    runs = ("number", "kind", "action", "key", "inputs", "plan", "state", "output", "actor", "written_at", "ended_at")
    tries = [{name: getattr(run, name) for name in runs} for run in list_step_runs(row.pk)]
    return {"id": row.pk, **{name: getattr(row, name) for name in names}, "runs": tries}
