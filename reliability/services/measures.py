"""What this app measures: calls, circuits, jobs, lanes, processes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from django.utils import timezone

from reliability import dispatch
from reliability.core.breaker import BreakerState, PinnedState
from reliability.core.metrics import LATENCIES, Metric, MetricKind, Sample, with_all_labels
from reliability.core.taxonomy import ErrorSeverity
from reliability.selectors.alerts import count_unresolved
from reliability.selectors.jobs import list_dead_letter_groups, list_lanes
from reliability.selectors.processes import list_processes
from reliability.selectors.retention import list_policies
from reliability.services.circuit_board import Unseen, read_board
from reliability.services.circuits import Transition
from reliability.services.guarding.outcomes import CallOutcome
from reliability.services.metering import meter
from reliability.services.metrics import declare_counted, register_source
from reliability.services.service_levels import SERVED, list_states, window_name

CALLS = Metric(
    "stanchion_calls_total",
    MetricKind.COUNTER,
    "Guarded calls by how they ended: succeeded, failed, refused (not begun) or canceled; "
    "the category and code are empty for a success.",
    ("dependency", "operation", "result", "category", "code"),
)
CALL_SECONDS = Metric(
    "stanchion_call_duration_seconds",
    MetricKind.HISTOGRAM,
    "Time of guarded calls that were begun, over all their attempts.",
    ("dependency", "operation"),
    LATENCIES,
)
TRANSITIONS = Metric(
    "stanchion_circuit_transitions_total",
    MetricKind.COUNTER,
    "Changes of a circuit's state, counted by the process that caused them.",
    ("circuit", "to_state"),
)
CIRCUIT_STATE = Metric(
    "stanchion_circuit_state",
    MetricKind.GAUGE,
    "1 for the state a circuit is in, 0 for the others.",
    ("circuit", "state"),
)
CIRCUIT_CALLS = Metric(
    "stanchion_circuit_window_calls", MetricKind.GAUGE, "Calls in a circuit's window, by result.", ("circuit", "result")
)
JOBS_READY = Metric("stanchion_lane_ready_jobs", MetricKind.GAUGE, "Jobs that wait or are due later.", ("lane",))
JOBS_RUNNING = Metric("stanchion_lane_running_jobs", MetricKind.GAUGE, "Jobs that run.", ("lane",))
LANE_LAG = Metric(
    "stanchion_lane_lag_seconds",
    MetricKind.GAUGE,
    "How long the oldest due job has been due; 0 when none is.",
    ("lane",),
)
LANE_PAUSED = Metric("stanchion_lane_paused", MetricKind.GAUGE, "1 while a person holds the lane.", ("lane",))
DEAD_LETTERS = Metric(
    "stanchion_dead_letters", MetricKind.GAUGE, "Jobs that wait for a person's decision.", ("kind", "code")
)
PROCESSES = Metric(
    "stanchion_processes",
    MetricKind.GAUGE,
    "Processes that live, are silent, or ended within five minutes.",
    ("kind", "state"),
)
HEARTBEAT_AGE = Metric(
    "stanchion_heartbeat_age_seconds",
    MetricKind.GAUGE,
    "Time since the latest heartbeat among the living processes of a kind.",
    ("kind",),
)
LEADERS = Metric("stanchion_leaders", MetricKind.GAUGE, "Living processes that act for their kind.", ("kind",))

REQUESTS = Metric(
    "stanchion_http_requests_total",
    MetricKind.COUNTER,
    "Requests the web processes answered.",
    ("method", "route", "status"),
)
REQUEST_SECONDS = Metric(
    "stanchion_http_request_duration_seconds",
    MetricKind.HISTOGRAM,
    "Time a web process took to answer.",
    ("method", "route"),
    LATENCIES,
)

BUDGET_LEFT = Metric(
    "stanchion_error_budget_left_ratio",
    MetricKind.GAUGE,
    "Share of the error budget of the last 30 days that is left; below 0 the objective is broken.",
    ("subject", "service"),
)
BURN_RATE = Metric(
    "stanchion_burn_rate_ratio",
    MetricKind.GAUGE,
    "How many times faster than allowed the error budget went within a window.",
    ("subject", "service", "window"),
)

ALERTS = Metric("stanchion_open_alerts", MetricKind.GAUGE, "Alerts that are not over, by severity.", ("severity",))
MESSAGES = Metric(
    "stanchion_queue_messages",
    MetricKind.GAUGE,
    "Messages that wait in the queue of a lane at the message broker: nudges, so that few wait even while work does.",
    ("queue",),
)
UPKEEP_AGE = Metric(
    "stanchion_upkeep_age_seconds",
    MetricKind.GAUGE,
    "Time since upkeep of a kind of rows last ran to its end; since its policy began while it never did.",
    ("kind",),
)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STATES = [*BreakerState, *PinnedState, *Unseen]

Values = Mapping[Metric, Iterable[Sample]]


def connect_measures() -> None:
    """Have this app's metrics declared and read; counting begins with the hooks of ``connect_records``."""
    declare_counted(CALLS, CALL_SECONDS, TRANSITIONS, REQUESTS, REQUEST_SECONDS, SERVED)
    register_source("service levels", (BUDGET_LEFT, BURN_RATE), read_service_levels)
    register_source("circuits", (CIRCUIT_STATE, CIRCUIT_CALLS), read_circuits)
    lanes = (JOBS_READY, JOBS_RUNNING, LANE_LAG, LANE_PAUSED, DEAD_LETTERS)
    register_source("jobs", lanes, read_jobs)
    register_source("alerts", (ALERTS,), read_alerts)
    register_source("message broker", (MESSAGES,), read_messages)
    register_source("upkeep", (UPKEEP_AGE,), read_upkeep)
    register_source("processes", (PROCESSES, HEARTBEAT_AGE, LEADERS), read_processes)


def note_call(outcome: CallOutcome) -> None:
    """Count a call that is over."""
    category = outcome.error.category.value if outcome.error is not None else ""
    labels = (outcome.dependency, outcome.operation, outcome.result.value, category, outcome.code)
    meter.count(CALLS, *labels)
    if outcome.attempts:
        meter.observe(CALL_SECONDS, outcome.dependency, outcome.operation, value=outcome.duration_seconds)


def note_transition(transition: Transition) -> None:
    """Count a change that this process caused."""
    meter.count(TRANSITIONS, transition.circuit, transition.to_state.value)


def note_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answer; ``route`` is the pattern of the address, blank for one that nothing serves."""
    known = method if method in _METHODS else "other"
    meter.count(REQUESTS, known, route, str(status))
    meter.observe(REQUEST_SECONDS, known, route, value=seconds)


def read_circuits() -> Values:
    views = read_board().circuits
    states = [Sample((view.name, state.value), float(view.state == state)) for view in views for state in _STATES]
    succeeded = [Sample((view.name, "succeeded"), view.successes) for view in views]
    failed = [Sample((view.name, "failed"), view.failures) for view in views]
    return {CIRCUIT_STATE: states, CIRCUIT_CALLS: [*succeeded, *failed]}


def read_jobs() -> Values:
    lanes, now = list_lanes(), timezone.now()
    return {
        JOBS_READY: [Sample((lane.name,), lane.ready) for lane in lanes],
        JOBS_RUNNING: [Sample((lane.name,), lane.running) for lane in lanes],
        LANE_LAG: [Sample((lane.name,), _age(lane.oldest_due_at, now)) for lane in lanes],
        LANE_PAUSED: [Sample((lane.name,), float(lane.paused_at is not None)) for lane in lanes],
        DEAD_LETTERS: [Sample((one.kind, one.error_code), one.count) for one in list_dead_letter_groups()],
    }


def read_processes() -> Values:
    processes, now = list_processes(), timezone.now()
    living = [one for one in processes if one.state in ("alive", "silent")]
    latest: dict[tuple[str, ...], float] = {}
    for one in living:
        latest[one.kind,] = min(latest.get((one.kind,), float("inf")), _age(one.beat_at, now))
    leaders = Counter((one.kind,) for one in living if one.detail.get("leader") is True)
    return {
        PROCESSES: with_all_labels(PROCESSES, Counter((one.kind, one.state) for one in processes)),
        HEARTBEAT_AGE: with_all_labels(HEARTBEAT_AGE, latest),
        LEADERS: with_all_labels(
            LEADERS, {(one.kind,): float(leaders[one.kind,]) for one in living if "leader" in one.detail}
        ),
    }


def read_alerts() -> Values:
    counts = count_unresolved()
    return {ALERTS: [Sample((severity.value,), counts.get(severity.value, 0)) for severity in ErrorSeverity]}


def read_messages() -> Values:
    depths = dispatch.queue_depths([lane.name for lane in list_lanes()])
    return {MESSAGES: [Sample((lane,), depth) for lane, depth in depths.items()]}


def read_upkeep() -> Values:
    now = timezone.now()
    return {UPKEEP_AGE: [Sample((one.kind,), _age(one.last_run_at or one.created_at, now)) for one in list_policies()]}


def read_service_levels() -> Values:
    states = list_states()
    left = [Sample((one.sampled.subject, one.sampled.service), one.budget_left) for one in states]
    burns = [
        Sample((one.sampled.subject, one.sampled.service, window_name(window)), one.burn(window))
        for one in states
        for window in one.counts
    ]
    return {BUDGET_LEFT: left, BURN_RATE: burns}


def _age(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (now - moment).total_seconds())
