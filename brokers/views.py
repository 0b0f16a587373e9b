"""The pages of an order and of an account, and the buttons of what stops orders."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from brokers.core.orders import FINAL_STATES, OPEN_STATES, OrderState
from brokers.selectors.accounts import list_accounts
from brokers.selectors.exposure import exposure_facts, list_exposures
from brokers.selectors.kill_switch import find_switch
from brokers.selectors.orders import find_order, list_events, list_fills, list_orders
from brokers.services.cancellation import request_cancel
from brokers.services.freezes import CONFIRM_PERMISSIONS as FREEZE_CONFIRMS
from brokers.services.freezes import confirm_freeze_release, release_freeze, request_freeze_release
from brokers.services.kill_switch import CONFIRM_PERMISSIONS as KILL_SWITCH_CONFIRMS
from brokers.services.kill_switch import confirm_release, engage, request_release
from reliability.core.errors import ReliabilityError
from reliability.selectors.jobs import list_unfinished_jobs
from reliability.views.actions import act_and_return, posted_reason, require_typed
from reliability.views.fragments import fragment_response

_ACCOUNT_PERMISSIONS = ("brokers.view_order", "brokers.view_position")
_MOST_SHOWN = 50
_KNOWN_OPEN = tuple(OPEN_STATES - {OrderState.UNKNOWN})


@require_GET
@never_cache
@login_required
@permission_required("brokers.view_order", raise_exception=True)
def order_page(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Everything that is known of one order."""
    return render(request, "brokers/order.html", _order_context(order_id))


@require_GET
@never_cache
@login_required
@permission_required("brokers.view_order", raise_exception=True)
def order_live(request: HttpRequest, order_id: UUID) -> HttpResponse:
    return fragment_response(request, "brokers/order_live.html", _order_context(order_id))


@require_GET
@never_cache
@login_required
@permission_required(_ACCOUNT_PERMISSIONS, raise_exception=True)
def account_page(request: HttpRequest, name: str) -> HttpResponse:
    """What an account holds, and what its orders may still make of that."""
    return render(request, "brokers/account.html", _account_context(name))


@require_GET
@never_cache
@login_required
@permission_required(_ACCOUNT_PERMISSIONS, raise_exception=True)
def account_live(request: HttpRequest, name: str) -> HttpResponse:
    return fragment_response(request, "brokers/account_live.html", _account_context(name))


@require_POST
@login_required
@permission_required("brokers.submit_order", raise_exception=True)
def cancel_order(request: HttpRequest, order_id: UUID) -> HttpResponse:
    def act() -> str:
        state = request_cancel(order_id, actor=request.user.get_username(), source="operator")
        return (
            "The order is canceled: it was never sent." if state in FINAL_STATES else "The broker is asked to cancel."
        )

    return act_and_return(request, act)


@require_POST
@login_required
@permission_required("brokers.engage_kill_switch", raise_exception=True)
def engage_kill_switch(request: HttpRequest) -> HttpResponse:
    def act() -> str:
        scope, reason = request.POST.get("scope", ""), posted_reason(request)
        require_typed(request, scope)
        return f"Trading is stopped: {engage(scope, reason=reason, actor=request.user.get_username()).scope}."

    return act_and_return(request, act)


@require_POST
@login_required
@permission_required("brokers.release_kill_switch", raise_exception=True)
def request_kill_switch_release(request: HttpRequest, switch_id: int) -> HttpResponse:
    def act() -> str:
        reason = posted_reason(request)
        require_typed(request, _scope_of(switch_id))
        request_release(switch_id, by=request.user.get_username(), reason=reason)
        return "Asked for: another person confirms it within the hour."

    return act_and_return(request, act)


@require_POST
@login_required
@permission_required(KILL_SWITCH_CONFIRMS, raise_exception=True)
def confirm_kill_switch_release(request: HttpRequest, switch_id: int) -> HttpResponse:
    def act() -> str:
        require_typed(request, _scope_of(switch_id))
        return f"Released: {confirm_release(switch_id, by=request.user.get_username()).scope}. New orders are accepted."

    return act_and_return(request, act)


@require_POST
@login_required
@permission_required("brokers.release_freeze", raise_exception=True)
def release_one_freeze(request: HttpRequest, freeze_id: int) -> HttpResponse:
    def act() -> str:
        freeze = release_freeze(freeze_id, by=request.user.get_username(), reason=posted_reason(request))
        return f"Released: {freeze.scope}. Orders are sent again."

    return act_and_return(request, act)


@require_POST
@login_required
@permission_required("brokers.release_freeze", raise_exception=True)
def ask_for_freeze_release(request: HttpRequest, freeze_id: int) -> HttpResponse:
    def act() -> str:
        request_freeze_release(freeze_id, by=request.user.get_username(), reason=posted_reason(request))
        return "Asked for: another person confirms it within the hour."

    return act_and_return(request, act)


@require_POST
@login_required
@permission_required(FREEZE_CONFIRMS, raise_exception=True)
def confirm_one_freeze_release(request: HttpRequest, freeze_id: int) -> HttpResponse:
    def act() -> str:
        freeze = confirm_freeze_release(freeze_id, by=request.user.get_username())
        return f"Released: {freeze.scope}. Orders are sent again."

    return act_and_return(request, act)


def _account_context(name: str) -> dict[str, Any]:
    found = [one for one in list_accounts() if one.name == name]
    if not found:
        raise Http404("There is no such account.")
    return {
        "name": name,
        "accounts": found,
        "exposures": exposure_facts(list_exposures(name)),
        "unknown_orders": list_orders(account=name, states=(OrderState.UNKNOWN,), is_open=True, limit=_MOST_SHOWN),
        "open_orders": list_orders(account=name, states=_KNOWN_OPEN, is_open=True, limit=_MOST_SHOWN),
    }


def _order_context(order_id: UUID) -> dict[str, Any]:
    order = find_order(order_id)
    if order is None:
        raise Http404("There is no such order.")
    return {
        "order": order,
        "average_price": order.filled_notional / order.filled_quantity if order.filled_quantity else None,
        "is_final": order.state in FINAL_STATES,
        "events": list_events(order.pk),
        "fills": list_fills(order.pk),
        "jobs": list_unfinished_jobs(order.pk),
    }


def _scope_of(switch_id: int) -> str:
    switch = find_switch(switch_id)
    if switch is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such kill switch.")
    return str(switch.scope)
