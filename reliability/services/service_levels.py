"""Service levels: counted calls and watched connections become samples, samples become budgets and alerts."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from reliability.core.burn_rate import BURN_WINDOWS, Burning, Counts, Objective, find_burning, is_failing_often
from reliability.core.metrics import Metric, MetricKind
from reliability.core.taxonomy import ErrorSeverity
from reliability.models import Alert, ServiceLevel
from reliability.selectors.service_levels import SampledService, budget_history, counts_of, list_sampled
from reliability.services.alerting import Raising, follow_condition
from reliability.services.guarding.outcomes import CallOutcome, CallResult
from reliability.services.guarding.policy import CircuitEffect, circuit_effect
from reliability.services.metering import meter

SERVED = Metric(
    "stanchion_service_calls_total",
    MetricKind.COUNTER,
    "Calls as service levels count them: bad when the dependency failed, good when it answered, also with a refusal; "
    "of feeds, looks within trading hours.",
    ("dependency", "service", "verdict"),
)

ERROR_RATE_LIMIT = 0.01
ERROR_RATE_WINDOW = timedelta(minutes=5)
CALM_RATE = 0.005
SAMPLE_EVERY = timedelta(seconds=10)
_WINDOWS = sorted({ERROR_RATE_WINDOW, *(part for window in BURN_WINDOWS for part in (window.long, window.short))})
_KEPT = ((timedelta(hours=2), 60), (timedelta(days=4), 900))  # older samples: one a minute, then one in 15 minutes

DEFAULTS = (
    ("orders", "99.5", "submitting and replacing orders"),
    ("cancels", "99.5", "canceling orders"),
    ("look_ups", "99.5", "asking for orders whose outcome is unknown"),
    ("reads", "99", "snapshots of orders, fills and positions"),
    ("data", "99", "everything else that is read"),
)

_TAKE = """
INSERT INTO reliability_servicesample (service, subject, at, good, bad)
SELECT labels[2], labels[1], %s, coalesce(sum(value) FILTER (WHERE labels[3] = 'good'), 0)::bigint,
       coalesce(sum(value) FILTER (WHERE labels[3] = 'bad'), 0)::bigint
FROM reliability_metrictotal WHERE name = %s GROUP BY labels[2], labels[1]
ON CONFLICT (service, subject, at) DO NOTHING
"""

# A slice of time is one look: a connection that is watched every ten seconds has 8,640 of them a day.
_SLICE = """
INSERT INTO reliability_servicesample (service, subject, at, good, bad)
SELECT row.service, row.subject, %s, coalesce(last.good, 0) + row.is_good::int,
       coalesce(last.bad, 0) + (NOT row.is_good)::int
FROM unnest(%s::text[], %s::text[], %s::boolean[]) AS row (service, subject, is_good)
LEFT JOIN LATERAL (
    SELECT good, bad FROM reliability_servicesample s
    WHERE s.service = row.service AND s.subject = row.subject ORDER BY at DESC LIMIT 1) AS last ON true
ON CONFLICT (service, subject, at) DO NOTHING
"""

_THIN = """
DELETE FROM reliability_servicesample WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (
            PARTITION BY service, subject, floor(extract(epoch FROM at) / %s) ORDER BY at DESC) AS place
        FROM reliability_servicesample WHERE at < %s AND at > %s) AS numbered
    WHERE place > 1)
"""


@dataclass(frozen=True, slots=True)
class Slice:
    """One look at a connection that should stand: whether it did."""

    service: str
    subject: str
    is_good: bool


Watcher = Callable[[], Iterable[Slice]]
_watchers: list[Watcher] = []
_defaults: list[tuple[str, str, str]] = list(DEFAULTS)


def watch(watcher: Watcher, service: str, target_percent: str, description: str) -> None:
    """Have connections looked at with every sample; those outside their trading hours are left out by the watcher."""
    _watchers.append(watcher)
    _defaults.append((service, target_percent, description))


def declare_level(service: str, target_percent: str, description: str) -> None:
    """Have an objective for a service whose slices are counted with ``note_slice``."""
    if all(name != service for name, _, _ in _defaults):
        _defaults.append((service, target_percent, description))


def note_slice(service: str, subject: str, *, is_good: bool) -> None:
    """Count one look at something that should stand, where the process that looks is one for all."""
    meter.count(SERVED, subject, service, "good" if is_good else "bad")


def note_service_call(outcome: CallOutcome) -> None:
    """Count a call for its service: the class of its circuit, at its dependency."""
    service = outcome.circuit.removeprefix(outcome.dependency).lstrip(":") or "calls"
    if outcome.result is CallResult.SUCCEEDED:
        meter.count(SERVED, outcome.dependency, service, "good")
    elif outcome.result is CallResult.FAILED and outcome.error is not None:
        effect = circuit_effect(outcome.error)
        if effect is not CircuitEffect.NONE:
            verdict = "bad" if effect is CircuitEffect.FAILURE else "good"
            meter.count(SERVED, outcome.dependency, service, verdict)


def sample(now: datetime | None = None) -> None:
    """Write what was counted and watched so far, as of now."""
    at = now or timezone.now()
    slices = [one for watcher in _watchers for one in watcher()]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_TAKE, [at, SERVED.name])
        if slices:
            columns = [one.service for one in slices], [one.subject for one in slices], [one.is_good for one in slices]
            cursor.execute(_SLICE, [at, *columns])


def thin(now: datetime | None = None) -> int:
    """Keep fewer samples of what is long ago; returns how many went."""
    at, gone = now or timezone.now(), 0
    with transaction.atomic(), connection.cursor() as cursor:
        for age, seconds in _KEPT:
            cursor.execute(_THIN, [seconds, at - age, at - 10 * age])
            gone += cursor.rowcount
        cursor.execute("DELETE FROM reliability_servicesample WHERE at < %s", [at - timedelta(days=65)])
        return gone + int(cursor.rowcount)


def ensure_levels() -> None:
    """Have a row to tune for each service that is known from the start."""
    rows = [ServiceLevel(service=name, target_percent=target, description=text) for name, target, text in _defaults]
    ServiceLevel.objects.bulk_create(rows, ignore_conflicts=True)


@dataclass(frozen=True, slots=True)
class ServiceState:
    """One service at one subject now: its counts by window, what is left of its budget, and whether it burns."""

    sampled: SampledService
    level: ServiceLevel
    counts: dict[timedelta, Counts]
    period: Counts
    burning: Burning | None

    @property
    def objective(self) -> Objective:
        return self.level.objective

    @property
    def budget_left(self) -> float:
        return self.objective.budget_left(self.period)

    @property
    def scope(self) -> str:
        return f"broker:{self.sampled.subject}/service:{self.sampled.service}"

    def burn(self, window: timedelta) -> float:
        return self.objective.burn(self.counts[window])


def list_states(now: datetime | None = None) -> list[ServiceState]:
    """Return every service that is measured and has an objective, by subject."""
    at, levels = now or timezone.now(), {level.service: level for level in ServiceLevel.objects.all()}
    states = []
    for sampled in list_sampled():
        level = levels.get(sampled.service)
        if level is None:
            continue
        objective = level.objective
        counts = counts_of(sampled, [*_WINDOWS, objective.period], at)
        period = counts.pop(objective.period)
        states.append(ServiceState(sampled, level, counts, period, find_burning(objective, counts.__getitem__)))
    return sorted(states, key=lambda state: (state.sampled.subject, state.sampled.service))


def evaluate(now: datetime | None = None) -> None:
    """Raise and end the alerts on budgets that burn and on error rates."""
    at = now or timezone.now()
    states = [state for state in list_states(at) if state.level.is_alerting]
    burning = [_burn_alert(state, state.burning) for state in states if state.burning is not None]
    follow_condition("slo.burn_rate", burning, reason="the budget lasts again")
    told = set(Alert.objects.filter(condition="error.rate", resolved_at=None).values_list("scope", flat=True))
    failing = [_rate_alert(state) for state in states if _fails_often(state, at, state.scope in told)]
    follow_condition("error.rate", failing, reason="calls succeed again")


def _fails_often(state: ServiceState, at: datetime, is_told: bool) -> bool:
    """Above the limit now and ten seconds ago; once told, until the rate is well below."""
    counts = state.counts[ERROR_RATE_WINDOW]
    if is_told:
        return counts.bad_ratio > CALM_RATE
    if not is_failing_often(counts, ERROR_RATE_LIMIT):
        return False
    before = counts_of(state.sampled, [ERROR_RATE_WINDOW], at - SAMPLE_EVERY)
    return is_failing_often(before[ERROR_RATE_WINDOW], ERROR_RATE_LIMIT)


def _burn_alert(state: ServiceState, burning: Burning) -> Raising:
    where, counts = f"{state.sampled.subject}: {state.sampled.service}", burning.counts
    message = (
        f"{where} uses its error budget up {burning.long_burn:.1f} times as fast as it may: {counts.bad} of "
        f"{counts.all} were bad in {window_name(burning.window.long)}, and {max(0.0, state.budget_left):.0%} is left."
    )
    return Raising("slo.burn_rate", state.scope, message, burning.window.severity, service_facts(state))


def _rate_alert(state: ServiceState) -> Raising:
    where, counts = f"{state.sampled.subject}: {state.sampled.service}", state.counts[ERROR_RATE_WINDOW]
    burn = state.burn(ERROR_RATE_WINDOW)
    severity = ErrorSeverity.CRITICAL if burn >= 14.4 else ErrorSeverity.HIGH if burn >= 6 else ErrorSeverity.MEDIUM
    message = (
        f"{where}: {counts.bad} of {counts.all} calls failed within five minutes ({counts.bad_ratio:.1%}), "
        f"{burn:.1f} times what its objective allows."
    )
    return Raising("error.rate", state.scope, message, severity, service_facts(state))


def service_facts(state: ServiceState) -> dict[str, Any]:
    """Return one service as plain data, for the API and the details of alerts."""
    return {
        "service": state.sampled.service,
        "subject": state.sampled.subject,
        "target_percent": str(state.level.target_percent),
        "period_days": state.objective.period.days,
        "good": state.period.good,
        "bad": state.period.bad,
        "budget_left": round(state.budget_left, 6),
        "burn": {window_name(window): round(state.burn(window), 3) for window in state.counts},
        "is_burning": state.burning is not None,
    }


def budget_line(state: ServiceState, points: int = 60, now: datetime | None = None) -> list[tuple[datetime, float]]:
    """Return the share of the budget left at instants spread over the period."""
    objective = state.objective
    history = budget_history(state.sampled, objective.period, now or timezone.now(), points)
    return [(at, objective.budget_left(counts)) for at, counts in history]


def window_name(window: timedelta) -> str:
    """Return a window as Prometheus writes it: 5m, 6h, 3d."""
    seconds = int(window.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
