"""What the rest of the product is told about circuits: plain values."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reliability.core.breaker import BreakerSettings, CircuitState, Counts, PinnedState
from reliability.core.errors import ReliabilityError


class CircuitOpenError(ReliabilityError):
    """The circuit does not let this call through; nothing was sent.

    Attributes:
        circuit: Its name.
        state: Its state: open, half open with all probes under way, or forced open.
        remaining_seconds: How long asking again is pointless; None for a pin without an end.

    It is made for every refused call, so it does nothing at birth: all else derives from ``args``.
    """

    code = "SYSTEM_CIRCUIT_OPEN"
    __init__ = Exception.__init__  # refusing must cost less than a microsecond

    @property
    def circuit(self) -> str:
        return str(self.args[0])

    @property
    def state(self) -> CircuitState:
        state: CircuitState = self.args[1]
        return state

    @property
    def remaining_seconds(self) -> float | None:
        seconds: float | None = self.args[2]
        return None if seconds is None or seconds == float("inf") else max(0.0, seconds)

    @property
    def retry_after_seconds(self) -> int | None:  # type: ignore[override]  # derived, not kept
        seconds = self.remaining_seconds
        return None if seconds is None else -int(-seconds // 1)

    @property
    def details(self) -> dict[str, Any]:  # type: ignore[override]  # derived, not kept
        return {"circuit": self.circuit, "state": self.state.value}

    @property
    def message(self) -> str:
        return f"The circuit {self.circuit} is {self.state.value.replace('_', ' ')}; nothing was sent."


class UnknownCircuitError(LookupError):
    """The shared store has no circuit of this name."""


class StoreUnavailableError(Exception):
    """The shared store cannot be reached, so the other processes were not told."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A person's state of a circuit; ``expires_at`` None stays until it is removed."""

    state: PinnedState
    author: str
    reason: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CircuitTruth:
    """What the durable record says of a circuit: what its loader returns.

    ``version`` grows with each change of the settings, ``pin_version`` with each change of the
    pin; both start at 1. Lower versions than the store has are ignored.
    """

    settings: BreakerSettings
    version: int
    pin: Pin | None = None
    pin_version: int = 1


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of a circuit's state. (circuit, generation, version) names it everywhere.

    ``at`` is aware UTC by the clock of the store, ``process`` caused it. ``is_local``: it holds
    for that process alone, which could not reach the store or saw failures nobody else sees.
    """

    circuit: str
    generation: str
    version: int
    from_state: CircuitState
    to_state: CircuitState
    cause: str
    reason: str
    counts: Counts
    at: datetime
    process: str
    is_local: bool


@dataclass(frozen=True, slots=True)
class CircuitStatus:
    """A circuit as it is now. ``remaining_seconds``: until a call may be tried, or the pin ends; None for ever.

    ``is_shared``: read from the shared store; otherwise it is what this process believes alone.
    """

    name: str
    state: CircuitState
    version: int
    generation: str
    opened_at: datetime | None
    remaining_seconds: float | None
    counts: Counts
    probes_in_flight: int
    probe_successes: int
    pin: Pin | None
    settings: BreakerSettings
    settings_version: int
    is_shared: bool

    @property
    def consecutive_failures(self) -> int:
        return self.counts.consecutive_failures
