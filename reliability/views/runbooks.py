"""Runbooks on pages: read one, follow it, run its steps."""

from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from reliability.core.errors import ReliabilityError
from reliability.core.runbooks import RUNBOOKS
from reliability.selectors.runbooks import find_execution, list_executions, list_step_runs
from reliability.services.runbook_actions import get_action
from reliability.services.runbook_rights import missing_right, require_step_right
from reliability.services.runbooks import (
    abort_runbook,
    carry_out_step,
    current_step,
    plan_step,
    resume_runbook,
    start_runbook,
)
from reliability.views.actions import act_and_return, posted_reason
from reliability.views.pages import page_and_live

VIEW = "reliability.view_runbookexecution"
FOLLOW = "reliability.follow_runbook"


@require_GET
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def runbook_list(request: HttpRequest) -> HttpResponse:
    """Every runbook, and what was followed last."""
    context = {"runbooks": list(RUNBOOKS.values()), "executions": list_executions(limit=20)}
    return render(request, "reliability/runbooks.html", context)


@require_GET
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def runbook(request: HttpRequest, name: str) -> HttpResponse:
    """One runbook, and the form that begins to follow it."""
    if name not in RUNBOOKS:
        raise Http404("There is no such runbook.")
    scope, incident = request.GET.get("scope", "")[:200], request.GET.get("incident", "")
    context = {"runbook": RUNBOOKS[name], "scope": scope, "incident": incident if incident.isdecimal() else ""}
    return render(request, "reliability/runbook.html", context)


@require_POST
@login_required
@permission_required(FOLLOW, raise_exception=True)
def start(request: HttpRequest, name: str) -> HttpResponse:
    incident = request.POST.get("incident", "")

    def act() -> str:
        incident_id = int(incident) if incident.isdecimal() and len(incident) < 19 else None
        scope = request.POST.get("scope", "").strip()
        execution = start_runbook(name, scope, actor=request.user.get_username(), incident_id=incident_id)
        started.append(execution.pk)
        return "Begun: each step is written down before it runs."

    started: list[int] = []
    answer = act_and_return(request, act)
    return HttpResponseRedirect(reverse("runbook-execution", args=started)) if started else answer


execution, execution_live = page_and_live(
    VIEW, "reliability/runbook_execution", lambda request, pk: _context(request, pk)
)


@require_POST
@login_required
@permission_required(FOLLOW, raise_exception=True)
def step(request: HttpRequest, pk: int) -> HttpResponse:
    """Plan, carry out, abort or resume, as the button says."""

    def act() -> str:
        row, actor = find_execution(pk), request.user.get_username()
        if row is None:
            raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such execution.")
        what = request.POST.get("do", "")
        if what == "abort":
            abort_runbook(pk, actor=actor, reason=posted_reason(request))
            return "Aborted; what was done stays done."
        if what == "resume":
            resume_runbook(pk, actor=actor)
            return "Taken up again where it was."
        require_step_right(request.user, row)
        number = _posted_number(request)
        if what == "plan":
            return f"It would do this: {plan_step(pk, number, actor=actor)}"
        return f"Done: {carry_out_step(pk, number, actor=actor, note=request.POST.get('note', ''))}"

    return act_and_return(request, act)


def _posted_number(request: HttpRequest) -> int:
    text = request.POST.get("step", "")
    if not text.isdecimal() or len(text) > 4:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Which step?")
    return int(text)


def _context(request: HttpRequest, pk: int) -> dict[str, Any]:
    row = find_execution(pk)
    if row is None:
        raise Http404("There is no such execution.")
    runs = list_step_runs(pk)
    now = current_step(row)
    planned = next(
        (run for run in reversed(runs) if run.number == row.step and run.state in ("planned", "running")), None
    )
    steps = [
        {**values, "number": number, "runs": [run for run in runs if run.number == number]}
        for number, values in enumerate(row.steps)
    ]
    return {
        "one": row,
        "steps": steps,
        "planned": planned,
        "reach": get_action(now.action).reach if now is not None and now.action else "",
        "missing": missing_right(request.user, row),
        "may_follow": request.user.has_perm(FOLLOW),
        "next": f"/runbooks/executions/{row.pk}",
    }
