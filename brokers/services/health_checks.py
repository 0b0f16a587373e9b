"""The parts of an installation this app looks at: brokers behind their circuits, and order streams."""

from django.utils import timezone

from brokers.selectors.accounts import list_accounts
from brokers.services.accounts import list_profiles
from brokers.services.guards import CallClass, circuit_name
from reliability.core.degradation import Health
from reliability.core.health import Finding, of_alike
from reliability.services.circuit_board import read_board
from reliability.services.health import register_check

STREAM_SILENCE_SECONDS = 10.0


def register_checks() -> None:
    """Have this app's parts looked at; call it once, as the app starts."""
    register_check("brokers", look_at_brokers)
    register_check("streams", look_at_streams)


def look_at_brokers() -> Finding:
    """A broker is down when its circuit for orders refuses, degraded when another of its circuits does."""
    refusing = {view.name for view in read_board().circuits if view.is_refusing}
    brokers = sorted({profile.broker for profile in list_profiles()})
    if not brokers:
        return Finding(Health.NORMAL, "no account is set up")
    states = {broker: _broker_health(broker, refusing) for broker in brokers}
    health = of_alike(states.values())
    wrong = [f"{broker} is {state.value}" for broker, state in states.items() if state is not Health.NORMAL]
    message = ", ".join(wrong) or f"{len(brokers)} take orders"
    return Finding(health, message, {broker: state.value for broker, state in states.items()})


def _broker_health(broker: str, refusing: set[str]) -> Health:
    if circuit_name(broker, CallClass.ORDERS) in refusing:
        return Health.DOWN
    return Health.DEGRADED if any(circuit_name(broker, one) in refusing for one in CallClass) else Health.NORMAL


def look_at_streams() -> Finding:
    """An order stream is down when it does not stand, or gave no sign of life for ten seconds."""
    streaming = {profile.id for profile in list_profiles() if profile.adapter.capabilities.streams_orders}
    accounts = [account for account in list_accounts() if account.id in streaming]
    now, states, facts = timezone.now(), {}, {}
    for account in accounts:
        alive_at = account.stream_alive_at
        silence = None if alive_at is None else max(0.0, (now - alive_at).total_seconds())
        stands = account.stream_state == "up" and silence is not None and silence <= STREAM_SILENCE_SECONDS
        states[account.name] = Health.NORMAL if stands else Health.DOWN
        facts[account.name] = {"state": account.stream_state, "silence_seconds": silence and round(silence, 1)}
    wrong = [name for name, state in states.items() if state is not Health.NORMAL]
    message = f"down: {', '.join(wrong)}" if wrong else f"{len(states)} stand"
    return Finding(of_alike(states.values()), message, facts)
