"""The page of one change that takes two persons, and its buttons."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST

from reliability.core.changes import ChangeState
from reliability.selectors.changes import find_change
from reliability.services.changes import confirm_change, reject_change, withdraw_change
from reliability.services.persons import APPROVE_PERMISSION
from reliability.views.actions import act_and_return, posted_reason
from reliability.views.pages import page_and_live

VIEW = "reliability.view_proposedchange"

change_page, change_live = page_and_live(VIEW, "reliability/change", lambda request, pk: _context(request, pk))


@require_POST
@login_required
@permission_required(APPROVE_PERMISSION, raise_exception=True)
def confirm(request: HttpRequest, pk: int) -> HttpResponse:
    proposal = request.POST.get("proposal", "")
    return _act(request, pk, lambda: confirm_change(pk, by=request.user.get_username(), proposal=proposal))


@require_POST
@login_required
@permission_required(APPROVE_PERMISSION, raise_exception=True)
def reject(request: HttpRequest, pk: int) -> HttpResponse:
    def act() -> str:
        reject_change(pk, by=request.user.get_username(), reason=posted_reason(request))
        return "Rejected: nothing is changed."

    return _act(request, pk, act)


@require_POST
@login_required
@permission_required(VIEW, raise_exception=True)
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    def act() -> str:
        withdraw_change(pk, by=request.user.get_username())
        return "Taken back: nothing is changed."

    return _act(request, pk, act)


def _act(request: HttpRequest, pk: int, act: Callable[[], str]) -> HttpResponse:
    if find_change(pk) is None:
        raise Http404("There is no such change.")
    return act_and_return(request, act)


def _context(request: HttpRequest, pk: int) -> dict[str, Any]:
    row = find_change(pk)
    if row is None:
        raise Http404("There is no such change.")
    waits = row.state == ChangeState.PROPOSED and row.expires_at >= timezone.now()
    mine = row.proposed_by.casefold() == request.user.get_username().casefold()
    return {
        "one": row,
        "state": ChangeState.EXPIRED if row.state == ChangeState.PROPOSED and not waits else row.state,
        "waits": waits,
        "may_confirm": waits and not mine and request.user.has_perm(APPROVE_PERMISSION),
        "may_withdraw": waits and mine,
        "next": f"/changes/{row.pk}",
    }
