"""Service levels: counted calls and watched connections become samples, samples become budgets and alerts."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from reliability.core.burn_rate import BURN_WINDOWS, Burning, BurnWindow, Counts, Floor, Objective, find_burning
from reliability.core.metrics import Metric, MetricKind
from reliability.models import ServiceLevel
from reliability.selectors.service_levels import SampledService, budget_history, counts_of_all, list_sampled
from reliability.services.alert_thresholds import read_thresholds
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

SAMPLE_EVERY = timedelta(seconds=10)
_WINDOWS = sorted({part for window in BURN_WINDOWS for part in (window.long, window.short)})
_KEPT = ((timedelta(hours=2), 60), (timedelta(days=4), 900))  # older samples: one a minute, then one in 15 minutes

DEFAULTS = (
    ("orders", "99.5", "submitting and replacing orders"),
    ("cancels", "99.5", "canceling orders"),
    ("look_ups", "99.5", "asking for orders whose outcome is unknown"),
    ("reads", "99", "snapshots of orders, fills and positions"),
    ("data", "99", "everything else that is read"),
)

CALLS = frozenset(name for name, _, _ in DEFAULTS)
"""The services that are calls; of the others slices of time are counted."""

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
    windows, floor = burn_limits()
    known = [(sampled, levels[sampled.service]) for sampled in list_sampled() if sampled.service in levels]
    asked = sorted({*_WINDOWS, *(level.objective.period for _, level in known)})
    counted = counts_of_all([sampled for sampled, _ in known], asked, at)
    states = []
    for sampled, level in known:
        counts = {window: counted[sampled][window] for window in _WINDOWS}
        period = counted[sampled][level.objective.period]
        burning = find_burning(level.objective, counts.__getitem__, windows, floor)
        states.append(ServiceState(sampled, level, counts, period, burning))
    return sorted(states, key=lambda state: (state.sampled.subject, state.sampled.service))


def burn_limits() -> tuple[list[BurnWindow], Floor]:
    """Return the pairs of windows and the floor as they are set now."""
    values = read_thresholds("slo.burn_rate")
    factors = values["fast_burn"], values["slow_burn"], values["lasting_burn"]
    windows = [replace(window, factor=factor) for window, factor in zip(BURN_WINDOWS, factors, strict=True)]
    return windows, Floor(values["fewest_calls"], values["fewest_errors"])


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
