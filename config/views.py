"""Pages that look at all apps at once: health, the operator screen, and errors."""

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from brokers.selectors.accounts import list_accounts
from brokers.selectors.freezes import freeze_facts, list_freezes
from brokers.selectors.kill_switch import list_scopes, list_switches, switch_facts
from brokers.selectors.orders import count_in_flight, list_finished, list_in_flight
from brokers.services.stop_interventions import STOP_KINDS
from reconciliation.selectors.recovery import list_unrecovered
from reconciliation.selectors.runs import count_open
from reliability.api.errors import error_response
from reliability.conf import get_conf
from reliability.core.correlation import current_correlation_id
from reliability.core.degradation import Health
from reliability.core.errors import ReliabilityError
from reliability.selectors.alerts import count_unresolved, list_unresolved
from reliability.selectors.changes import count_waiting_changes, list_waiting_changes
from reliability.selectors.error_groups import errors_by_category
from reliability.selectors.errors import count_new_guesses
from reliability.selectors.incidents import count_unresolved_incidents, list_unresolved_incidents, response_times
from reliability.selectors.interventions import count_undecided, list_interventions
from reliability.selectors.jobs import list_dead_letter_groups, list_lanes, list_newest_dead_letters
from reliability.selectors.processes import list_processes
from reliability.services.alert_evaluation import evaluations_age
from reliability.services.circuit_board import read_board
from reliability.services.degradation import read_status
from reliability.services.health import check_health
from reliability.views.fragments import fragment_response

DEAD_LETTERS_SHOWN = 10
ALERTS_SHOWN = 12
DECISIONS_SHOWN = 12
INCIDENTS_SHOWN = 8
OPEN_SHOWN = 20
FINISHED_SHOWN = 15


@require_GET
@never_cache
def health_live(request: HttpRequest) -> JsonResponse:
    """This process answers."""
    return JsonResponse({"status": "live"})


@require_GET
@never_cache
def health_ready(request: HttpRequest) -> JsonResponse:
    """Orders can be accepted: the database answers and has our schema. Redis away is degraded, not unready."""
    report = check_health(("database", "migrations", "redis"))
    checks = {one.name: one.health is not Health.DOWN for one in report.components}
    is_ready = report.health is not Health.DOWN
    status = "unready" if not is_ready else ("ready" if all(checks.values()) else "degraded")
    return JsonResponse({"status": status, "checks": checks}, status=200 if is_ready else 503)


def installation(request: HttpRequest) -> dict[str, Any]:
    """Give every page the name of this installation, the time its data was read, and whether Flower is there."""
    return {"instance": settings.INSTANCE, "has_flower": bool(get_conf().flower_url), "now": timezone.now()}


@require_GET
@never_cache
@login_required
def operations(request: HttpRequest) -> HttpResponse:
    """The one screen an operator looks at."""
    return render(request, "operations.html", _screen(request))


@require_GET
@never_cache
@login_required
def operations_live(request: HttpRequest) -> HttpResponse:
    """The part of the screen that changes."""
    return fragment_response(request, "operations/live.html", _screen(request))


def _screen(request: HttpRequest) -> dict[str, Any]:
    """Read what the screen shows: only what this person may see, and of every list only its head."""
    may = request.user.has_perm
    orders = _orders_part() if may("brokers.view_order") else {}
    jobs = _jobs_part() if may("reliability.view_job") else {}
    processes = list_processes() if may("reliability.view_heartbeat") else []
    circuits = _circuits_part() if may("reliability.view_circuit") else {}
    guesses = {"new_guesses": count_new_guesses()} if may("reliability.view_errorguess") else {}
    missing = [process for process in processes if process.state in ("silent", "died")]
    halts = _halts_part(may("brokers.view_order"), may("brokers.engage_kill_switch"))
    alerts = _alerts_part() if may("reliability.view_alert") else {}
    found = {"differences": count_open()} if may("reconciliation.view_discrepancy") else {}
    changes = _changes_part() if may("reliability.view_proposedchange") else {}
    decisions = _decisions_part() if may("reliability.view_intervention") else {}
    incidents = _incidents_part() if may("reliability.view_incident") else {}
    errors = {"error_counts": errors_by_category()} if may("reliability.view_errorgroup") else {}
    screen = {
        **alerts,
        **decisions,
        **changes,
        **incidents,
        **errors,
        **orders,
        **jobs,
        **circuits,
        **guesses,
        **found,
        **halts,
        "processes": processes,
        "missing": missing,
    }
    return {**screen, "critical": _critical(screen)}


def _halts_part(may_see: bool, may_engage: bool) -> dict[str, Any]:
    """Whoever sees orders sees what stops them."""
    halts = [switch_facts(switch) for switch in list_switches(in_force=True)] if may_see else []
    freezes = [freeze_facts(freeze) for freeze in list_freezes(in_force=True)] if may_see else []
    unrecovered = list_unrecovered() if may_see else []
    scopes = list_scopes() if may_engage else []
    return {"halts": halts, "freezes": freezes, "unrecovered": unrecovered, "scopes": scopes}


def _incidents_part() -> dict[str, Any]:
    counts = count_unresolved_incidents()
    return {
        "incidents": list_unresolved_incidents(INCIDENTS_SHOWN),
        "incident_counts": counts,
        "incident_count": sum(counts.values()),
        "response": response_times(most=500),
    }


def _decisions_part() -> dict[str, Any]:
    """What waits for a person, the most urgent first."""
    return {
        "interventions": list_interventions(state="undecided", limit=DECISIONS_SHOWN),
        "intervention_count": count_undecided(),
        "other_decisions": count_undecided(without=STOP_KINDS),  # stops are counted as what they are
    }


def _changes_part() -> dict[str, Any]:
    """What waits for a second person, soonest to expire first."""
    return {"changes": list_waiting_changes(DECISIONS_SHOWN), "change_count": count_waiting_changes()}


def _alerts_part() -> dict[str, Any]:
    counts = count_unresolved()
    return {
        "alerts": list_unresolved(ALERTS_SHOWN),
        "alert_counts": counts,
        "alert_count": sum(counts.values()),
        "alerts_evaluated_seconds": evaluations_age(),
    }


def _orders_part() -> dict[str, Any]:
    return {
        "accounts": list_accounts(),
        "in_flight": count_in_flight(),
        "open_orders": list_in_flight(OPEN_SHOWN),
        "finished_orders": list_finished(FINISHED_SHOWN),
    }


def _jobs_part() -> dict[str, Any]:
    lanes, groups, now = list_lanes(), list_dead_letter_groups(), timezone.now()
    due = [lane.oldest_due_at for lane in lanes if lane.oldest_due_at is not None and lane.oldest_due_at <= now]
    return {
        "lanes": lanes,
        "oldest_due_at": min(due, default=None),
        "dead_letter_groups": groups[:DEAD_LETTERS_SHOWN],
        "dead_letters": list_newest_dead_letters(DEAD_LETTERS_SHOWN),
        "dead_letter_count": sum(group.count for group in groups),
        "oldest_dead_at": min((group.oldest_at for group in groups), default=None),
    }


def _circuits_part() -> dict[str, Any]:
    """Read the shared store once for the banner and the panel."""
    board = read_board()
    return {
        "board": board,
        "status": read_status(board),
        "refusing": [one for one in board.circuits if one.is_refusing],
    }


def _critical(screen: dict[str, Any]) -> int:
    """Return how many things want a person now; the page's title carries the number."""
    streams_down = sum(account.stream_state != "up" for account in screen.get("accounts", []))
    unknown = screen["in_flight"].unknown if "in_flight" in screen else 0
    refusing = len(screen.get("refusing", []))
    return (
        len(screen["halts"])
        + len(screen["freezes"])
        + sum(run["state"] == "failed" for run in screen["unrecovered"])
        + refusing
        + streams_down
        + unknown
        + screen.get("dead_letter_count", 0)
        + len(screen["missing"])
        + screen.get("other_decisions", 0)
        + screen.get("incident_counts", {}).get("critical", 0)
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith("/api/"):
        return error_response(ReliabilityError("VALIDATION_NOT_FOUND"))
    return _error_page(404)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith("/api/"):
        return error_response(ReliabilityError("VALIDATION_REQUEST_TURNED_AWAY"))
    return HttpResponse("Bad request", content_type="text/plain", status=400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith("/api/"):
        return error_response(ReliabilityError("AUTH_PERMISSION_DENIED"))
    return _error_page(403)


def server_error(request: HttpRequest) -> HttpResponse:
    if request.path.startswith("/api/"):
        return error_response(ReliabilityError("SYSTEM_UNEXPECTED"))
    return _error_page(500)


def _error_page(status: int) -> HttpResponse:
    """Render without the request: neither session nor database is needed."""
    context = {"correlation_id": current_correlation_id()}
    return HttpResponse(render_to_string(f"{status}.html", context), status=status)
