"""Incidents on pages: the list, one with all that belongs to it, and its buttons."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from reliability.core.errors import ReliabilityError
from reliability.core.incidents import UNRESOLVED, IncidentKind, IncidentState
from reliability.core.taxonomy import ErrorSeverity
from reliability.selectors.alerts import list_timeline
from reliability.selectors.incidents import find_incident, list_incident_alerts, list_incidents, response_times
from reliability.selectors.telling import list_deliveries
from reliability.services.incident_decisions import (
    acknowledge_incident,
    close_incident,
    comment_incident,
    mitigate_incident,
)
from reliability.views.actions import LONGEST_REASON, act_and_return, posted_reason
from reliability.views.pages import page_and_live

VIEW = "reliability.view_incident"
OPERATE = "reliability.operate_incident"
_PAGE = 50


@require_GET
@never_cache
@login_required
@permission_required(VIEW, raise_exception=True)
def incident_list(request: HttpRequest) -> HttpResponse:
    """Incidents, newest first, a page at a time: the next page begins after the last of this one."""
    states = ["unresolved", *(state.value for state in IncidentState)]
    state = _one_of(request.GET.get("state", "unresolved"), states)
    severity = _one_of(request.GET.get("severity", ""), [one.value for one in ErrorSeverity])
    kind = IncidentKind.DRILL if request.GET.get("kind") == "drill" else IncidentKind.REAL
    after = request.GET.get("after", "")
    after_id = int(after) if after.isdecimal() and len(after) < 19 else None
    rows = list_incidents(state=state, severity=severity, kind=kind, after_id=after_id, limit=_PAGE)
    context = {
        "incidents": rows,
        "states": states,
        "state": state,
        "severity": severity,
        "severities": [one.value for one in ErrorSeverity],
        "kind": kind.value,
        "more": rows[-1].pk if len(rows) == _PAGE else None,
        "times": response_times(),
    }
    return render(request, "reliability/incidents.html", context)


incident_page, incident_live = page_and_live(VIEW, "reliability/incident", lambda request, pk: _context(request, pk))


Act = Callable[[HttpRequest, int, str], str]


def _button(act: Act) -> Callable[..., HttpResponse]:
    @require_POST
    @login_required
    @permission_required(OPERATE, raise_exception=True)
    @wraps(act)
    def view(request: HttpRequest, pk: int) -> HttpResponse:
        return act_and_return(request, lambda: act(request, pk, request.user.get_username()))

    return view


@_button
def acknowledge(request: HttpRequest, pk: int, actor: str) -> str:
    acknowledge_incident(pk, actor=actor, reason=request.POST.get("reason", "").strip()[:LONGEST_REASON])
    return "You work on it; nobody else is paged. Acknowledge it again when you are reminded."


@_button
def decide(request: HttpRequest, pk: int, actor: str) -> str:
    reason, what = posted_reason(request), request.POST.get("do", "")
    if what == "mitigate":
        mitigate_incident(pk, actor=actor, reason=reason)
        return "It does no harm any more; it is resolved when its alerts are over."
    if what == "close":
        close_incident(pk, actor=actor, reason=reason)
        return "Closed."
    if what == "note":
        comment_incident(pk, actor=actor, text=reason)
        return "Noted."
    raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Choose what to do.")


def _context(request: HttpRequest, pk: int) -> dict[str, Any]:
    row = find_incident(pk)
    if row is None:
        raise Http404("There is no such incident.")
    may_see_messages = request.user.has_perm("reliability.view_delivery")
    return {
        "one": row,
        "alerts": list_incident_alerts(pk, 50),
        "history": list_timeline("incident", pk),
        "deliveries": list_deliveries(incident_id=pk, limit=30) if may_see_messages else [],
        "is_open": row.state in UNRESOLVED,
        "may_operate": request.user.has_perm(OPERATE),
        "is_mine": row.acknowledged_by == request.user.get_username(),
        "next": f"/incidents/{row.pk}",
    }


def _one_of(text: str, known: list[str]) -> str:
    return text if text in known else ""
