"""Alerts on budgets that burn and on error rates, by the limits that are set now."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.utils import timezone

from reliability.core.burn_rate import Burning, Counts, Floor, is_failing_often
from reliability.core.taxonomy import ErrorSeverity
from reliability.models import Alert
from reliability.selectors.service_levels import counts_of
from reliability.services.alert_thresholds import read_thresholds
from reliability.services.alerting import Raising, follow_condition
from reliability.services.service_levels import (
    SAMPLE_EVERY,
    ServiceState,
    burn_limits,
    list_states,
    service_facts,
    window_name,
)

_NO_CALLS = "nothing was called within the window"


def evaluate(now: datetime | None = None) -> None:
    """Raise and end the alerts on budgets that burn and on error rates."""
    at = now or timezone.now()
    states = [state for state in list_states(at) if state.level.is_alerting]
    burning = [_burn_alert(state, state.burning) for state in states if state.burning is not None]
    quiet = {state.scope: _NO_CALLS for state in states if state.burning is None and _may_burn(state)}
    follow_condition("slo.burn_rate", burning, reason="the budget lasts again", unknown=quiet)
    told = set(Alert.objects.filter(condition="error.rate", resolved_at=None).values_list("scope", flat=True))
    limits = read_thresholds("error.rate")
    judged = [(state, _counts(state, limits, at)) for state in states]
    failing = [
        _rate_alert(state, counts, limits)
        for state, counts in judged
        if _fails_often(state, counts, limits, at, state.scope in told)
    ]
    uncalled = {state.scope: _NO_CALLS for state, counts in judged if not counts.all}
    follow_condition("error.rate", failing, reason="calls succeed again", unknown=uncalled)


def _may_burn(state: ServiceState) -> bool:
    """Return whether a budget burnt and nothing was called since, so that nobody knows whether it would go on."""
    windows, floor = burn_limits()
    return any(
        floor.is_met(state.counts[one.long]) and state.burn(one.long) >= one.factor and not state.counts[one.short].all
        for one in windows
    )


def _counts(state: ServiceState, limits: Mapping[str, float], at: datetime) -> Counts:
    window = _window(limits)
    return state.counts[window] if window in state.counts else counts_of(state.sampled, [window], at)[window]


def _window(limits: Mapping[str, float]) -> timedelta:
    return timedelta(minutes=limits["window_minutes"])


def _fails_often(state: ServiceState, counts: Counts, limits: Mapping[str, float], at: datetime, is_told: bool) -> bool:
    """Above the limit now and ten seconds ago; once told, until the rate is well below."""
    if is_told:
        return counts.bad_ratio > limits["calm_percent"] / 100
    floor, limit = Floor(limits["fewest_calls"], limits["fewest_errors"]), limits["limit_percent"] / 100
    if not is_failing_often(counts, limit, floor):
        return False
    before = counts_of(state.sampled, [_window(limits)], at - SAMPLE_EVERY)
    return is_failing_often(before[_window(limits)], limit, floor)


def _burn_alert(state: ServiceState, burning: Burning) -> Raising:
    where, counts = f"{state.sampled.subject}: {state.sampled.service}", burning.counts
    message = (
        f"{where} uses its error budget up {burning.long_burn:.1f} times as fast as it may: {counts.bad} of "
        f"{counts.all} were bad in {window_name(burning.window.long)}, and {max(0.0, state.budget_left):.0%} is left."
    )
    return Raising("slo.burn_rate", state.scope, message, burning.window.severity, service_facts(state))


def _rate_alert(state: ServiceState, counts: Counts, limits: Mapping[str, float]) -> Raising:
    where, burn = f"{state.sampled.subject}: {state.sampled.service}", state.objective.burn(counts)
    severity = ErrorSeverity.MEDIUM
    if burn >= limits["high_burn"]:
        severity = ErrorSeverity.CRITICAL if burn >= limits["critical_burn"] else ErrorSeverity.HIGH
    message = (
        f"{where}: {counts.bad} of {counts.all} calls failed within {limits['window_minutes']:g} minutes "
        f"({counts.bad_ratio:.1%}), {burn:.1f} times what its objective allows."
    )
    return Raising("error.rate", state.scope, message, severity, service_facts(state))
