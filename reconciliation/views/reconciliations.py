"""Pages of reconciliation: every account's last run, one run as it goes, and one difference side by side."""

from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from brokers.core.corporate_actions import CashEntryKind
from brokers.services.accounts import list_profiles
from reconciliation.core.discrepancy import DiscrepancyState
from reconciliation.core.runs import FINISHED, RunKind
from reconciliation.selectors.runs import (
    find_discrepancy,
    find_run,
    list_discrepancies,
    list_latest_runs,
    list_runs,
    sides,
)
from reconciliation.services.resolutions import ADJUST, BOOK, ask_for_run, propose_acceptance, propose_decision
from reliability.views.actions import button, posted_reason
from reliability.views.pages import page_and_live

_VIEW = "reconciliation.view_reconciliationrun"
_SHOWN = 30


@require_GET
@never_cache
@login_required
@permission_required("reconciliation.view_discrepancy", raise_exception=True)
def discrepancy_page(request: HttpRequest, discrepancy_id: int) -> HttpResponse:
    """One difference: what is recorded beside what is reported, and what can be decided."""
    row = find_discrepancy(discrepancy_id)
    if row is None:
        raise Http404("There is no such discrepancy.")
    context = {
        "row": row,
        "sides": sides(row),
        "is_open": row.state == DiscrepancyState.OPEN,
        "cash_kinds": [kind.value for kind in CashEntryKind],
    }
    return render(request, "reconciliation/discrepancy.html", context)


@require_POST
@login_required
@permission_required("reconciliation.run_reconciliation", raise_exception=True)
def request_reconciliation(request: HttpRequest) -> HttpResponse:
    """Have one account reconciled, and go to the page that shows how far it is."""
    accounts = {str(profile.id): profile.id for profile in list_profiles()}
    account_id = accounts.get(request.POST.get("account", ""))
    if account_id is None:
        raise Http404("There is no such account.")
    kind = RunKind.FULL if request.POST.get("kind") == RunKind.FULL else RunKind.INCREMENTAL
    run_id = ask_for_run(account_id, by=request.user.get_username(), kind=kind)
    return HttpResponseRedirect(reverse("reconciliation-run", args=[run_id]))


@button("reconciliation.resolve_discrepancy")
def accept_discrepancy(request: HttpRequest, discrepancy_id: int) -> str:
    by = request.user.get_username()
    proposed = propose_acceptance(discrepancy_id, by=by, reason=posted_reason(request))
    return "Accepted: both sides stay as they are." if proposed is None else _proposed(proposed)


@button(("reconciliation.resolve_discrepancy", "brokers.adjust_position"))
def adjust_discrepancy(request: HttpRequest, discrepancy_id: int) -> str:
    by = request.user.get_username()
    return _proposed(propose_decision(ADJUST, discrepancy_id, by=by, reason=posted_reason(request)))


@button(("reconciliation.resolve_discrepancy", "brokers.book_cash"))
def book_discrepancy(request: HttpRequest, discrepancy_id: int) -> str:
    kinds = {one.value: one for one in CashEntryKind}
    kind = kinds.get(request.POST.get("kind", ""), CashEntryKind.ADJUSTMENT)
    told = {"by": request.user.get_username(), "reason": posted_reason(request), "kind": kind.value}
    return _proposed(propose_decision(BOOK, discrepancy_id, **told))


def _proposed(number: int) -> str:
    return f"Proposed: another person confirms it, intervention {number}."


def _overview(_request: HttpRequest) -> dict[str, Any]:
    """Every account's last run, what is open, and the buttons that have an account reconciled."""
    last = {run.account_id: run for run in list_latest_runs()}
    accounts = [{"profile": profile, "run": last.get(profile.id)} for profile in list_profiles()]
    return {
        "accounts": sorted(accounts, key=lambda one: one["profile"].name),
        "open": list_discrepancies(state=DiscrepancyState.OPEN, limit=_SHOWN),
        "runs": list_runs(limit=_SHOWN),
        "finished": FINISHED,
    }


def _run(_request: HttpRequest, run_id: int) -> dict[str, Any]:
    """One run: how far it is, and what it found."""
    run = find_run(run_id)
    if run is None:
        raise Http404("There is no such run.")
    return {"run": run, "is_over": run.state in FINISHED, "found": list_discrepancies(run_id=run_id)}


overview, overview_live = page_and_live(_VIEW, "reconciliation/overview", _overview)
run_page, run_live = page_and_live(_VIEW, "reconciliation/run", _run)
