"""The breaker a process runs by itself while it cannot reach the shared one."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from time import monotonic
from uuid import uuid4

from reliability.core.breaker import (
    Admission,
    Breaker,
    BreakerSettings,
    BreakerState,
    Cause,
    CircuitState,
    Outcome,
    PinnedState,
    PinOrder,
)
from reliability.services.circuits.values import Transition

_numbers = count(1).__next__


def now_ms() -> int:
    return int(monotonic() * 1000)


class LocalBreaker:
    """The machine of the core on this process's clock. The caller holds the circuit's lock."""

    def __init__(self, name: str, settings: BreakerSettings) -> None:
        self._name = name
        self._generation = f"local:{uuid4().hex[:12]}"
        self._machine = Breaker(_alone(settings))

    @property
    def state(self) -> CircuitState:
        return self._machine.effective_state

    def wait_ms(self) -> int | None:
        return self._machine.remaining_ms(now_ms())

    def start_from(self, state: CircuitState, wait_ms: int | None) -> None:
        """Be in the state the shared one is in, with nothing counted yet."""
        now, settings = now_ms(), self._machine.settings
        self._machine = Breaker(settings, proving_ms=now)
        if isinstance(state, PinnedState):
            self._machine.pin = PinOrder(state, None if wait_ms is None else now + wait_ms)
            return
        self._machine.state = state
        if state is not BreakerState.CLOSED:
            self._machine.openings = 1
        if state is BreakerState.OPEN:
            self._machine.opened_ms = now + min(wait_ms or 0, self._machine.cooldown_ms) - self._machine.cooldown_ms

    def configure(self, settings: BreakerSettings) -> None:
        self._machine.configure(_alone(settings))

    def admit(self, token: str) -> Admission:
        return self._machine.admit(now_ms(), token)

    def record(self, successes: int, failures: int, slow: int) -> None:
        self._machine.record(now_ms(), self._machine.version, successes, failures, slow)

    def report(self, token: str, outcome: Outcome) -> None:
        self._machine.report(now_ms(), self._machine.version, token, outcome)

    def hear_life(self) -> None:
        self._machine.hear_life(now_ms())

    def trip(self, cause: Cause) -> None:
        self._machine.trip(now_ms(), cause)

    def settle(self) -> bool:
        """Do what time alone brings; returns whether the state changed."""
        self._machine.settle(now_ms())
        return bool(self._machine.changes)

    def take_changes(self, process: str) -> list[Transition]:
        """Return the changes since the last time as this process tells of them."""
        return [
            Transition(
                circuit=self._name,
                generation=self._generation,
                version=_numbers(),
                from_state=change.from_state,
                to_state=change.to_state,
                cause=change.cause.value,
                reason="",
                counts=change.counts,
                at=datetime.now(UTC),
                process=process,
                is_local=True,
            )
            for change in self._machine.take_changes()
        ]


def _alone(settings: BreakerSettings) -> BreakerSettings:
    """Return the settings for a process that sees no other host."""
    return replace(settings, quorum=1)
