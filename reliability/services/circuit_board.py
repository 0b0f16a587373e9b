"""Circuits as people look at them: what the shared store says now beside what is set and recorded."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.utils import timezone

from reliability.core.breaker import BreakerSettings, BreakerState, CircuitState, PinnedState
from reliability.core.errors import ReliabilityError
from reliability.models import Circuit, CircuitTransition
from reliability.selectors.circuits import latest_transitions
from reliability.services import circuits
from reliability.services.circuit_records import truth_of
from reliability.services.circuits import CircuitStatus, Pin

REFUSING = frozenset({BreakerState.OPEN, PinnedState.FORCED_OPEN})
UNPROTECTED = frozenset({PinnedState.DISABLED, PinnedState.METRICS_ONLY})


class Unseen(StrEnum):
    """A circuit without a state to read: nobody called it since the store is there, or the store is away."""

    IDLE = "idle"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CircuitView:
    """One circuit at one instant.

    ``state`` is the one in force; ``until`` when calls may be tried again or the pin ends. The counts are
    of the window. ``is_shared``: read from the store all processes share. ``is_current``: the store has
    the settings and the pin that are recorded.
    """

    name: str
    state: CircuitState | Unseen
    is_shared: bool
    is_current: bool
    opened_at: datetime | None
    until: datetime | None
    remaining_seconds: float | None
    successes: int
    failures: int
    consecutive_failures: int
    probes_in_flight: int
    probe_successes: int
    pin: Pin | None
    settings: BreakerSettings
    settings_version: int
    last_transition: CircuitTransition | None

    @property
    def calls(self) -> int:
        return self.successes + self.failures

    @property
    def failure_percentage(self) -> float | None:
        """Share of failed calls in the window, in percent; None without calls."""
        return 100 * self.failures / self.calls if self.calls else None

    @property
    def is_refusing(self) -> bool:
        return self.state in REFUSING

    @property
    def is_proving(self) -> bool:
        return self.state is BreakerState.HALF_OPEN

    @property
    def is_unprotected(self) -> bool:
        """A person lets every call through, whatever fails."""
        return self.state in UNPROTECTED

    @property
    def since(self) -> datetime | None:
        """When it stopped working, as far as is known."""
        return self.opened_at or (self.last_transition.at if self.last_transition else None)


@dataclass(frozen=True, slots=True)
class Board:
    """All circuits, those that refuse calls first. ``is_reachable``: the shared store answered."""

    circuits: list[CircuitView]
    is_reachable: bool


def read_board() -> Board:
    """Return every circuit that is set, recorded or called; the store has a second to answer."""
    statuses = {status.name: status for status in circuits.list_statuses()}
    is_reachable = any(status.is_shared for status in statuses.values()) or circuits.is_store_reachable()
    rows = {row.name: row for row in Circuit.objects.all()}
    latest = latest_transitions()
    names = sorted({*rows, *statuses})
    now = timezone.now()
    views = [_view(name, rows.get(name), statuses.get(name), latest.get(name), is_reachable, now) for name in names]
    return Board(sorted(views, key=_urgency), is_reachable)


def get_circuit_view(name: str) -> CircuitView:
    """Return one circuit; raises ``ReliabilityError`` when there is none of this name."""
    for view in read_board().circuits:
        if view.name == name:
            return view
    raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no circuit called {name!r}.")


def circuit_facts(view: CircuitView) -> dict[str, Any]:
    """Return a circuit as plain data, for the API and ``--json``."""
    last = view.last_transition
    return {
        "name": view.name,
        "state": view.state.value,
        "is_shared": view.is_shared,
        "is_current": view.is_current,
        "opened_at": view.opened_at,
        "until": view.until,
        "remaining_seconds": view.remaining_seconds,
        "calls": view.calls,
        "failures": view.failures,
        "failure_percentage": view.failure_percentage,
        "consecutive_failures": view.consecutive_failures,
        "probes_in_flight": view.probes_in_flight,
        "probe_successes": view.probe_successes,
        "pin": pin_facts(view.pin),
        "settings": view.settings.to_dict(),
        "config": view.settings.to_spec(),
        "settings_version": view.settings_version,
        "last_transition": transition_facts(last) if last else None,
    }


def pin_facts(pin: Pin | None) -> dict[str, Any] | None:
    if pin is None:
        return None
    return {"state": pin.state.value, "author": pin.author, "reason": pin.reason, "expires_at": pin.expires_at}


def transition_facts(row: CircuitTransition) -> dict[str, Any]:
    """Return one change of state as plain data."""
    return {
        "at": row.at,
        "from_state": row.from_state,
        "to_state": row.to_state,
        "cause": row.cause,
        "reason": row.reason,
        "counts": row.counts,
        "process": row.process,
        "is_local": row.is_local,
        "generation": row.generation,
        "version": row.version,
    }


def _urgency(view: CircuitView) -> tuple[int, str]:
    order = [view.is_refusing, view.is_proving, view.state is Unseen.UNKNOWN, view.pin is not None]
    return (order.index(True) if True in order else len(order), view.name)


def _view(
    name: str,
    row: Circuit | None,
    status: CircuitStatus | None,
    last: CircuitTransition | None,
    is_reachable: bool,
    now: datetime,
) -> CircuitView:
    truth = truth_of(row, now) if row else None
    pin = truth.pin if truth else (status.pin if status else None)
    believed = status is not None and (status.is_shared or status.version > 0)
    state = status.state if status and believed else (Unseen.IDLE if is_reachable else Unseen.UNKNOWN)
    if status is None and pin is not None:
        state = pin.state
    settings = truth.settings if truth else (status.settings if status else BreakerSettings())
    version = truth.version if truth else (status.settings_version if status else 0)
    remaining = status.remaining_seconds if status else None
    counts = status.counts if status else None
    return CircuitView(
        name=name,
        state=state,
        is_shared=status is not None and status.is_shared,
        is_current=_is_current(status, settings, pin),
        opened_at=status.opened_at if status else None,
        until=now + timedelta(seconds=remaining) if remaining else None,
        remaining_seconds=remaining,
        successes=counts.successes if counts else 0,
        failures=counts.failures if counts else 0,
        consecutive_failures=counts.consecutive_failures if counts else 0,
        probes_in_flight=status.probes_in_flight if status else 0,
        probe_successes=status.probe_successes if status else 0,
        pin=pin,
        settings=settings,
        settings_version=version,
        last_transition=last,
    )


def _is_current(status: CircuitStatus | None, settings: BreakerSettings, pin: Pin | None) -> bool:
    """Whether the shared store does as is recorded; of a circuit nobody calls it has nothing."""
    if status is None:
        return pin is None
    same_pin = (status.pin.state if status.pin else None) is (pin.state if pin else None)
    return status.is_shared and same_pin and status.settings == settings
