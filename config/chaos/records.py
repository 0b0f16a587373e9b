"""What one episode left behind, from three independent sides: the brokers' ledgers, the client, the fault log.

Our own rows are beside them to be judged, not to judge. Instants are aware UTC; monotonic ones are the machine's.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from brokers.simulator.ledger import LedgerSummary
from config.chaos.fault_log import FaultEntry


@dataclass(frozen=True, slots=True)
class BrokerCall:
    """One request, reply or acceptance in a broker's ledger.

    Of a reply, ``outcome`` is what went out, ``status`` what the broker itself answered where a fault let it.
    """

    account: str
    kind: str
    operation: str
    client_order_id: str
    outcome: str
    monotonic: float
    at: datetime
    status: int | None = None

    @property
    def is_refusal(self) -> bool:
        """Tell whether the broker turned the request down, whatever became of that answer."""
        refused = self.status is not None and 400 <= self.status < 500
        return self.kind == "reply" and (refused or self.outcome == "auth_expired")


@dataclass(frozen=True, slots=True)
class CircuitChange:
    circuit: str
    from_state: str
    to_state: str
    at: datetime
    is_local: bool


@dataclass(frozen=True, slots=True)
class StateChange:
    """One change of the state of an order as we recorded it; ``kind`` and ``source`` say why, and by what."""

    order: str
    from_state: str
    to_state: str
    kind: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """The first record of ours that shows a fault: its text, and seconds since the first effect of the fault."""

    fault: int
    what: str
    seconds: float


@dataclass
class Records:
    """Everything that the checker looks at. Lists are of this episode alone; ledgers and positions of the whole run."""

    accepted: Mapping[str, str] = field(default_factory=dict)
    history: Sequence[tuple[float, str, str]] = ()
    orders: Sequence[Mapping[str, Any]] = ()
    everything: Sequence[Mapping[str, Any]] = ()
    positions: Sequence[Mapping[str, Any]] = ()
    ledgers: Mapping[str, LedgerSummary] = field(default_factory=dict)
    calls: Sequence[BrokerCall] = ()
    faults: Sequence[FaultEntry] = ()
    told: Mapping[str, str] = field(default_factory=dict)
    cancels: Collection[str] = ()
    circuits: Sequence[CircuitChange] = ()
    changes: Sequence[StateChange] = ()
    sent_in_freeze: Sequence[str] = ()
    older_writes: Sequence[str] = ()
    unfinished: Sequence[str] = ()
    dead_letters: Sequence[str] = ()
    fills_ours: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    fills_theirs: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    bad_bars: Sequence[str] = ()
    held_bars: int = 0
    ticks: Sequence[tuple[str, float, datetime]] = ()
    """Each job that the schedule made: the name of its schedule, seconds between two, when it was made; by name."""
    not_healthy: Sequence[str] = ()
    seen: Sequence[Sighting] = ()
    errors: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """How many errors of each account or broker and code were recorded."""
    alerts: Sequence[tuple[str, str, datetime]] = ()
    pids_before: Mapping[str, int | None] = field(default_factory=dict)
    pids_after: Mapping[str, int | None] = field(default_factory=dict)
    progress_seconds: float | None = None
    recovered_seconds: float | None = None
    agreed_seconds: float | None = None
    dirt: Sequence[str] = ()
    late_by_ms: Sequence[tuple[float, float]] = ()
    """The noise probe: (monotonic, milliseconds by which a 10 ms timer was late)."""

    @property
    def began(self) -> float:
        return min((at for at, _, _ in self.history), default=0.0)
