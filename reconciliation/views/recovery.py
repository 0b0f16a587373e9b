"""The page of one recovery run, the list of them, and the button that asks for one."""

from typing import Any

from django.http import Http404, HttpRequest

from reconciliation.core.recovery import STAGES, RecoveryState
from reconciliation.selectors.recovery import (
    account_of,
    find_run,
    list_runs,
    read_figures,
    run_events,
    run_facts,
    run_steps,
    run_triggers,
)
from reconciliation.services.recovery import request_recovery
from reliability.core.errors import ReliabilityError
from reliability.views.actions import button, posted_reason
from reliability.views.pages import page_and_live

_VIEW = "reconciliation.view_recoveryrun"


@button("reconciliation.run_recovery")
def recover_account(request: HttpRequest) -> str:
    account = account_of(request.POST.get("account", ""))
    if account is None:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "There is no such account in use.")
    run_id = request_recovery(account.id, by=request.user.get_username(), reason=posted_reason(request))
    return f"Recovery {run_id} of {account.name} has begun."


def _list_context(_request: HttpRequest) -> dict[str, Any]:
    """The newest runs, and how recoveries went in the last 30 days."""
    figures = read_figures()
    percent = None if figures.automatic_rate is None else 100 * figures.automatic_rate
    return {"runs": [run_facts(run) for run in list_runs()], "figures": figures, "automatic_percent": percent}


def _run_context(_request: HttpRequest, run_id: int) -> dict[str, Any]:
    """Everything that is known of one run."""
    run = find_run(run_id)
    if run is None:
        raise Http404("There is no such recovery run.")
    steps = run_steps(run)
    return {
        "run": run_facts(run),
        "is_running": run.state == RecoveryState.RUNNING,
        "stages": [[step for step in steps if step["stage"] == number] for number in range(len(STAGES))],
        "done": sum(step["state"] == "done" for step in steps),
        "step_count": len(steps),
        "triggers": run_triggers(run),
        "events": run_events(run),
    }


recovery_list, recovery_list_live = page_and_live(_VIEW, "reconciliation/recoveries", _list_context)
recovery_page, recovery_live = page_and_live(_VIEW, "reconciliation/recovery", _run_context)
