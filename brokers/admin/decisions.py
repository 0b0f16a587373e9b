"""One page with all that is known of an order whose outcome is unknown, and the three things a person can decide."""

from dataclasses import asdict
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from brokers.models import Order
from brokers.selectors.accounts import list_accounts
from brokers.selectors.orders import find_order, list_events, list_fills, list_positions
from brokers.services.accounts import get_profile
from brokers.services.decisions import look_again, may_decide
from brokers.services.guards import CallClass, get_guard
from brokers.services.order_interventions import ORDER_KIND
from brokers.services.unknown_orders import ask_about
from brokers.templatetags.orders import terms
from reliability.core.errors import ReliabilityError
from reliability.selectors.interventions import find_open_intervention
from reliability.selectors.jobs import list_unfinished_jobs
from reliability.services.interventions import confirm_intervention, decide_intervention, open_interventions

_DONE = {
    "look": "The broker is asked for it now; the answer appears below.",
    "adopt": "Proposed: another person confirms it on this page.",
    "end": "Proposed: another person confirms it on this page.",
    "confirm": "Confirmed; what came of it is in the history below.",
}


def order_decide_view(admin_site: admin.AdminSite, request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Show the evidence; carry out the decision that is posted."""
    if not request.user.has_perm("brokers.view_order"):
        raise PermissionDenied
    order = find_order(order_id)
    if order is None:
        raise Http404("There is no such order.")
    if request.method == "POST":
        return _decide(request, order_id)
    profile = get_profile(order.account_id)
    guards = {one.value: get_guard(profile, one).wait_seconds() for one in (CallClass.LOOK_UPS, CallClass.READS)}
    context = {
        **admin_site.each_context(request),
        "title": f"Decide: {terms(order)}",
        "opts": Order._meta,
        "order": order,
        "intervention": find_open_intervention(ORDER_KIND, f"order:{order.pk}"),
        "may_decide": may_decide(order) and request.user.has_perm("brokers.decide_order"),
        "is_open_question": may_decide(order),
        "events": list_events(order.pk),
        "fills": list_fills(order.pk),
        "jobs": list_unfinished_jobs(order.pk),
        "capabilities": asdict(profile.adapter.capabilities),
        "positions": [one for one in list_positions(order.account.name) if one["symbol"] == order.symbol],
        "account": next(one for one in list_accounts() if one.id == order.account_id),
        "closed_calls": sorted(name for name, seconds in guards.items() if seconds > 0),
    }
    return TemplateResponse(request, "admin/brokers/order/decide.html", context)


def _decide(request: HttpRequest, order_id: UUID) -> HttpResponse:
    if not request.user.has_perm("brokers.decide_order"):
        raise PermissionDenied
    actor, reason = request.user.get_username(), request.POST.get("reason", "")
    decision = request.POST.get("decision", "")
    try:
        if decision == "look":
            look_again(order_id, actor=actor, reason=reason)
        elif decision in ("adopt", "end"):
            _propose(order_id, decision, request.POST.get("broker_order_id", ""), actor, reason)
        elif decision == "confirm":
            _confirm(order_id, request.POST.get("proposal", ""), actor)
        else:
            raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Choose one of the three decisions.")
        messages.success(request, _DONE[decision])
    except ReliabilityError as error:
        messages.error(request, f"Nothing was changed: {error.message}")
    return HttpResponseRedirect(reverse("admin:brokers_order_decide", args=[order_id]))


def _propose(order_id: UUID, decision: str, value: str, actor: str, reason: str) -> None:
    """Propose a decision that moves an order to a second person; the question is asked if it was not yet."""
    order = find_order(order_id)
    if order is None or not may_decide(order):
        raise ReliabilityError("VALIDATION_WRONG_STATE", "There is nothing to decide on this order.")
    with transaction.atomic():
        open_interventions(ORDER_KIND, [ask_about(order)])
        found = find_open_intervention(ORDER_KIND, f"order:{order_id}")
        assert found is not None
        decide_intervention(found.pk, decision, value=value, actor=actor, reason=reason)


def _confirm(order_id: UUID, proposal: str, actor: str) -> None:
    found = find_open_intervention(ORDER_KIND, f"order:{order_id}")
    if found is None:
        raise ReliabilityError("VALIDATION_WRONG_STATE", "Nothing is proposed.")
    confirm_intervention(found.pk, actor=actor, proposal=proposal)
