"""The pages of an order and of an account, and the buttons of what stops orders."""

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest

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
from reliability.views.actions import button, posted_reason, require_typed
from reliability.views.pages import page_and_live

_ACCOUNT_PERMISSIONS = ("brokers.view_order", "brokers.view_position")
_MOST_SHOWN = 50
_KNOWN_OPEN = tuple(OPEN_STATES - {OrderState.UNKNOWN})


@button("brokers.submit_order")
def cancel_order(request: HttpRequest, order_id: UUID) -> str:
    state = request_cancel(order_id, actor=request.user.get_username(), source="operator")
    return "The order is canceled: it was never sent." if state in FINAL_STATES else "The broker is asked to cancel."


@button("brokers.engage_kill_switch")
def engage_kill_switch(request: HttpRequest) -> str:
    scope, reason = request.POST.get("scope", ""), posted_reason(request)
    require_typed(request, scope)
    return f"Trading is stopped: {engage(scope, reason=reason, actor=request.user.get_username()).scope}."


@button("brokers.release_kill_switch")
def request_kill_switch_release(request: HttpRequest, switch_id: int) -> str:
    reason = posted_reason(request)
    require_typed(request, _scope_of(switch_id))
    request_release(switch_id, by=request.user.get_username(), reason=reason)
    return "Asked for: another person confirms it within the hour."


@button(KILL_SWITCH_CONFIRMS)
def confirm_kill_switch_release(request: HttpRequest, switch_id: int) -> str:
    require_typed(request, _scope_of(switch_id))
    return f"Released: {confirm_release(switch_id, by=request.user.get_username()).scope}. New orders are accepted."


@button("brokers.release_freeze")
def release_one_freeze(request: HttpRequest, freeze_id: int) -> str:
    freeze = release_freeze(freeze_id, by=request.user.get_username(), reason=posted_reason(request))
    return f"Released: {freeze.scope}. Orders are sent again."


@button("brokers.release_freeze")
def ask_for_freeze_release(request: HttpRequest, freeze_id: int) -> str:
    request_freeze_release(freeze_id, by=request.user.get_username(), reason=posted_reason(request))
    return "Asked for: another person confirms it within the hour."


@button(FREEZE_CONFIRMS)
def confirm_one_freeze_release(request: HttpRequest, freeze_id: int) -> str:
    freeze = confirm_freeze_release(freeze_id, by=request.user.get_username())
    return f"Released: {freeze.scope}. Orders are sent again."


def _account_context(_request: HttpRequest, name: str) -> dict[str, Any]:
    """What an account holds, and what its orders may still make of that."""
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


def _order_context(_request: HttpRequest, order_id: UUID) -> dict[str, Any]:
    """Everything that is known of one order."""
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


order_page, order_live = page_and_live("brokers.view_order", "brokers/order", _order_context)
account_page, account_live = page_and_live(_ACCOUNT_PERMISSIONS, "brokers/account", _account_context)
