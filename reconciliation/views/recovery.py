"""The page of one recovery run, the list of them, and the button that asks for one."""

from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

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
from reliability.views.actions import act_and_return, posted_reason
from reliability.views.fragments import fragment_response

_VIEW = "reconciliation.view_recoveryrun"


@require_GET
@never_cache
@login_required
@permission_required(_VIEW, raise_exception=True)
def recovery_list(request: HttpRequest) -> HttpResponse:
    """The newest runs, and how recoveries went in the last 30 days."""
    return render(request, "reconciliation/recoveries.html", _list_context())


@require_GET
@never_cache
@login_required
@permission_required(_VIEW, raise_exception=True)
def recovery_list_live(request: HttpRequest) -> HttpResponse:
    return fragment_response(request, "reconciliation/recoveries_live.html", _list_context())


@require_GET
@never_cache
@login_required
@permission_required(_VIEW, raise_exception=True)
def recovery_page(request: HttpRequest, run_id: int) -> HttpResponse:
    """Everything that is known of one run."""
    return render(request, "reconciliation/recovery.html", _run_context(run_id))


@require_GET
@never_cache
@login_required
@permission_required(_VIEW, raise_exception=True)
def recovery_live(request: HttpRequest, run_id: int) -> HttpResponse:
    return fragment_response(request, "reconciliation/recovery_live.html", _run_context(run_id))


@require_POST
@login_required
@permission_required("reconciliation.run_recovery", raise_exception=True)
def recover_account(request: HttpRequest) -> HttpResponse:
    def act() -> str:
        account = account_of(request.POST.get("account", ""))
        if account is None:
            raise ReliabilityError("VALIDATION_INVALID_REQUEST", "There is no such account in use.")
        run_id = request_recovery(account.id, by=request.user.get_username(), reason=posted_reason(request))
        return f"Recovery {run_id} of {account.name} has begun."

    return act_and_return(request, act)


def _list_context() -> dict[str, Any]:
    figures = read_figures()
    percent = None if figures.automatic_rate is None else 100 * figures.automatic_rate
    return {"runs": [run_facts(run) for run in list_runs()], "figures": figures, "automatic_percent": percent}


def _run_context(run_id: int) -> dict[str, Any]:
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
