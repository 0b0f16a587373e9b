"""The page of one question to a person, and its buttons; it works on the width of a phone."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST

from reliability.core.errors import ReliabilityError
from reliability.core.interventions import UNDECIDED, InterventionState
from reliability.models import Intervention
from reliability.selectors.alerts import list_timeline
from reliability.selectors.interventions import find_intervention
from reliability.services.interventions import (
    acknowledge_intervention,
    claim_intervention,
    confirm_intervention,
    decide_intervention,
    get_intervention_kind,
    reject_intervention,
)
from reliability.views.actions import act_and_return, posted_reason
from reliability.views.pages import page_and_live

HANDLE = "reliability.handle_intervention"
APPROVE = "reliability.approve_intervention"


intervention_page, intervention_live = page_and_live(
    "reliability.view_intervention", "reliability/intervention", lambda request, pk: _context(request, pk)
)


Act = Callable[[HttpRequest, int, str], str]


def _button(permission: str) -> Callable[[Act], Callable[..., HttpResponse]]:
    """Return the view of a button: a POST by somebody who may handle questions, and what this one is about."""

    def wrap(act: Act) -> Callable[..., HttpResponse]:
        @require_POST
        @login_required
        @permission_required(permission, raise_exception=True)
        @wraps(act)
        def view(request: HttpRequest, pk: int) -> HttpResponse:
            row = find_intervention(pk)
            if row is None:
                raise Http404("There is no such intervention.")
            if not request.user.has_perm(_needed(row)):
                raise PermissionDenied
            return act_and_return(request, lambda: act(request, pk, request.user.get_username()))

        return view

    return wrap


@_button(HANDLE)
def claim(request: HttpRequest, pk: int, actor: str) -> str:
    until = claim_intervention(pk, actor=actor)
    return f"It is yours until {until:%H:%M:%S}Z."


@_button(HANDLE)
def acknowledge(request: HttpRequest, pk: int, actor: str) -> str:
    acknowledge_intervention(pk, actor=actor)
    return "Acknowledged; its due time goes on."


@_button(HANDLE)
def decide(request: HttpRequest, pk: int, actor: str) -> str:
    value = request.POST.get("value", "")
    state = decide_intervention(
        pk, request.POST.get("choice", ""), value=value, actor=actor, reason=posted_reason(request)
    )
    if state is InterventionState.PROPOSED:
        return "Proposed: another person confirms it."
    return "Done." if state is InterventionState.DECIDED else "Done; the question stays."


@_button(APPROVE)
def confirm(request: HttpRequest, pk: int, actor: str) -> str:
    return confirm_intervention(pk, actor=actor, proposal=request.POST.get("proposal", ""))


@_button(APPROVE)
def reject(request: HttpRequest, pk: int, actor: str) -> str:
    reject_intervention(pk, actor=actor, reason=posted_reason(request))
    return "Rejected; the question is open again."


def _needed(row: Intervention) -> str:
    try:
        return get_intervention_kind(row.kind).permission
    except ReliabilityError as error:
        raise Http404(error.message) from None


def _context(request: HttpRequest, pk: int) -> dict[str, Any]:
    row = find_intervention(pk)
    if row is None:
        raise Http404("There is no such intervention.")
    kind, me = get_intervention_kind(row.kind), request.user.get_username()
    may = request.user.has_perm(kind.permission) and row.state in UNDECIDED
    taken = row.claimed_by not in ("", me) and row.claimed_until is not None and row.claimed_until > timezone.now()
    return {
        "one": row,
        "page": kind.page(row.subject),
        "history": list_timeline("intervention", row.pk),
        "may_handle": may and request.user.has_perm(HANDLE) and not taken,
        "may_confirm": may and request.user.has_perm(APPROVE) and row.proposed_by not in ("", me),
        "is_taken": taken,
        "is_open": row.state in UNDECIDED,
        "next": f"/interventions/{row.pk}",
    }
