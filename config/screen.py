"""The one screen an operator looks at: everything on it, read for one person with a bounded number of questions."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from brokers.selectors.accounts import list_accounts
from brokers.selectors.freezes import freeze_facts, list_freezes
from brokers.selectors.kill_switch import list_scopes, list_switches, switch_facts
from brokers.selectors.orders import count_in_flight, list_finished, list_in_flight
from brokers.services.stop_interventions import STOP_KINDS
from config.broker_grid import BURN_WINDOW, broker_rows
from reconciliation.selectors.recovery import list_unrecovered, read_figures
from reconciliation.selectors.runs import count_open, last_verdicts
from reconciliation.services.market_data.market_hours import read_markets
from reliability.core.errors import ReliabilityError
from reliability.models import Intervention, ProposedChange
from reliability.selectors.alerts import count_unresolved, list_unresolved
from reliability.selectors.changes import count_waiting_changes, list_waiting_changes
from reliability.selectors.errors import count_new_guesses
from reliability.selectors.incidents import count_unresolved_incidents, list_unresolved_incidents, response_times
from reliability.selectors.interventions import count_undecided, list_interventions, oldest_undecided_at
from reliability.selectors.jobs import list_dead_letter_groups, list_lanes, list_newest_dead_letters
from reliability.selectors.processes import list_processes
from reliability.selectors.service_levels import latest_sample_at
from reliability.selectors.timeline import list_latest_entries
from reliability.services.alert_evaluation import evaluations_age
from reliability.services.circuit_board import read_board
from reliability.services.degradation import read_status
from reliability.services.interventions import get_intervention_kind
from reliability.services.service_levels import ServiceState, list_states, window_name
from reliability.views.charts import (
    BUDGET_HEIGHT,
    BUDGET_WIDTH,
    HOURS_HEIGHT,
    HOURS_WIDTH,
    budget_marks,
    error_chart,
    service_row,
    worst_burn,
)
from reliability.views.fragments import fragment_response
from reliability.views.interventions import HANDLE

DEAD_LETTERS_SHOWN = 10
ALERTS_SHOWN = 12
DECISIONS_SHOWN = 12
INCIDENTS_SHOWN = 8
OPEN_SHOWN = 20
FINISHED_SHOWN = 15
ENTRIES_SHOWN = 20
MEASURED_WITHIN = timedelta(minutes=1)  # calls are counted every ten seconds

# Whose timeline is shown to whom.
_TIMELINES = {
    "incident": "reliability.view_incident",
    "alert": "reliability.view_alert",
    "intervention": "reliability.view_intervention",
    "error_group": "reliability.view_errorgroup",
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a person until ``due_at``: a question, or a change that wants a second person.

    ``may_handle``: this person may claim it; ``is_taken``: somebody else has.
    """

    due_at: datetime
    question: Intervention | None = None
    change: ProposedChange | None = None
    may_handle: bool = False
    is_taken: bool = False


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
    may, now = request.user.has_perm, timezone.now()
    may_see_incidents = may("reliability.view_incident")
    processes = list_processes() if may("reliability.view_heartbeat") else []
    screen = {
        **(_orders_part() if may("brokers.view_order") else {}),
        **(_circuits_part() if may("reliability.view_circuit") else {}),
        **(_levels_part(now, may_see_incidents) if may("reliability.view_servicelevel") else {}),
        **(_jobs_part(now) if may("reliability.view_job") else {}),
        **(_incidents_part() if may_see_incidents else {}),
        **(_alerts_part() if may("reliability.view_alert") else {}),
        **_waiting_part(request, now),
        **_halts_part(may("brokers.view_order"), may("brokers.engage_kill_switch")),
        **_found_part(request),
        "entries": list_latest_entries({kind for kind, needed in _TIMELINES.items() if may(needed)}, ENTRIES_SHOWN),
        "processes": processes,
        "missing": [process for process in processes if process.state in ("silent", "died")],
    }
    if may("reliability.view_errorguess"):
        screen["new_guesses"] = count_new_guesses()
    if may("reliability.view_errorgroup"):
        screen["errors"] = error_chart(now, may_see_incidents=may_see_incidents)
        screen["hours_width"], screen["hours_height"] = HOURS_WIDTH, HOURS_HEIGHT
    if "accounts" in screen:
        circuits = screen["board"].circuits if "board" in screen else []
        screen["broker_rows"] = broker_rows(
            screen["accounts"],
            circuits,
            screen.get("states", []),
            screen.get("verdicts", {}),
            read_markets(now) if may("reconciliation.view_barseries") else {},
        )
    trading = _trading(screen) if may("brokers.view_order") else {}
    return {**screen, **trading, "critical": _critical(screen)}


def _trading(screen: dict[str, Any]) -> dict[str, str]:
    """Return in a few words what stops trading, for the top bar of whoever sees what does."""
    halts, freezes = len(screen["halts"]), len(screen["freezes"])
    if halts:
        return {"trading": "Kill switch on" if halts == 1 else f"{halts} kill switches on", "trading_tone": "bad"}
    if freezes:
        return {"trading": "Kill switch off; frozen in part", "trading_tone": "warn"}
    return {"trading": "Kill switch off", "trading_tone": "good"}


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


def _waiting_part(request: HttpRequest, now: datetime) -> dict[str, Any]:
    """What waits for a person: questions, and changes for a second person, soonest due first."""
    part: dict[str, Any] = {}
    waiting: list[Waiting] = []
    if request.user.has_perm("reliability.view_intervention"):
        questions = list_interventions(state="undecided", limit=DECISIONS_SHOWN)
        waiting += [_question(request, row, now) for row in questions]
        part |= {
            "intervention_count": count_undecided(),
            "oldest_question_at": oldest_undecided_at(),
            "next_due_at": questions[0].due_at if questions else None,
            "other_decisions": count_undecided(without=STOP_KINDS),  # stops are counted as what they are
        }
    if request.user.has_perm("reliability.view_proposedchange"):
        waiting += [Waiting(row.expires_at, change=row) for row in list_waiting_changes(DECISIONS_SHOWN)]
        part["change_count"] = count_waiting_changes()
    shown = sorted(waiting, key=lambda one: one.due_at)[:DECISIONS_SHOWN]
    return {**part, "waiting": shown, "waiting_count": part.get("intervention_count", 0) + part.get("change_count", 0)}


def _question(request: HttpRequest, row: Intervention, now: datetime) -> Waiting:
    try:
        may_handle = request.user.has_perm(HANDLE) and request.user.has_perm(get_intervention_kind(row.kind).permission)
    except ReliabilityError:  # a kind of another version: its page says so
        may_handle = False
    others = row.claimed_by not in ("", request.user.get_username())
    is_taken = others and row.claimed_until is not None and row.claimed_until > now
    return Waiting(row.due_at, question=row, may_handle=may_handle, is_taken=is_taken)


def _found_part(request: HttpRequest) -> dict[str, Any]:
    """What comparing and recovering found."""
    may = request.user.has_perm
    part: dict[str, Any] = {}
    if may("reconciliation.view_discrepancy"):
        part["differences"] = count_open()
    if may("reconciliation.view_reconciliationrun"):
        part["verdicts"] = last_verdicts()
    if may("reconciliation.view_recoveryrun"):
        figures = read_figures()
        part["recovery"] = figures
        part["recovery_ended"] = figures.recovered + figures.by_person + figures.failed
    return part


def _levels_part(now: datetime, may_see_incidents: bool) -> dict[str, Any]:
    """Budgets: of all services their numbers, of the worst its burn-down over 30 days."""
    states = list_states(now)
    worst: ServiceState | None = min(states, key=lambda state: state.budget_left, default=None)
    until = now.replace(minute=0, second=0, microsecond=0)  # the chart changes with the hour
    sampled_at = latest_sample_at()
    return {
        "unmeasured_since": sampled_at if sampled_at is not None and now - sampled_at > MEASURED_WITHIN else None,
        "states": states,
        "worst_budget": worst,
        "worst_burn": worst_burn(states, BURN_WINDOW),
        "burn_window": window_name(BURN_WINDOW),
        "budget_row": service_row(worst, until) if worst is not None else None,
        "budget_marks": budget_marks(until, may_see_incidents=may_see_incidents) if worst is not None else [],
        "width": BUDGET_WIDTH,
        "height": BUDGET_HEIGHT,
    }


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


def _jobs_part(now: datetime) -> dict[str, Any]:
    lanes, groups = list_lanes(), list_dead_letter_groups()
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
