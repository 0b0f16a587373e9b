"""Leave to make one call. Report its outcome exactly once; what is never reported counts for nothing."""

from __future__ import annotations

from itertools import count
from time import monotonic, sleep
from typing import TYPE_CHECKING

from reliability.core.breaker import Outcome

if TYPE_CHECKING:
    from reliability.services.circuits.circuit import Circuit


_TURN = 63  # every 64th success lets the other threads of the process have the interpreter


class Permit:
    """Leave to make one call of a circuit that is disabled: its outcome is not counted."""

    __slots__ = ()

    is_probe = False

    def succeed(self, duration_seconds: float = 0.0) -> None:
        """The call answered, or was refused for business reasons, after this long."""

    def fail(self, duration_seconds: float = 0.0) -> None:
        """The call failed as calls of a broken dependency fail. Waits for the store, at most some 50 ms."""

    async def fail_async(self, duration_seconds: float = 0.0) -> None:
        """As ``fail``, without blocking the event loop."""

    def release(self) -> None:
        """The call says nothing about the dependency: cancelled, or failed for a local cause."""


class CountingPermit(Permit):
    """One for all calls of one version of a circuit that is closed: it only counts."""

    __slots__ = (
        "_circuit",
        "_count",
        "_count_slow",
        "_seen",
        "_seen_slow",
        "_succeeded_at",
        "generation",
        "slow_seconds",
        "version",
    )

    def __init__(self, circuit: Circuit, generation: str, version: int, slow_seconds: float) -> None:
        self._circuit = circuit
        self.generation, self.version, self.slow_seconds = generation, version, slow_seconds
        self._count, self._count_slow = count().__next__, count().__next__  # atomic without a lock
        self._seen = self._seen_slow = 0
        self._succeeded_at = 0.0

    def succeed(self, duration_seconds: float = 0.0) -> None:
        if duration_seconds >= self.slow_seconds:
            self._count_slow()
        if not self._count() & _TURN:
            sleep(0)  # whoever calls without a pause would keep the listener from the interpreter for 5 ms and more
        self._succeeded_at = monotonic()

    def fail(self, duration_seconds: float = 0.0) -> None:
        self._circuit.count_failure(self, int(duration_seconds >= self.slow_seconds))

    async def fail_async(self, duration_seconds: float = 0.0) -> None:
        await self._circuit.count_failure_async(self, int(duration_seconds >= self.slow_seconds))

    def take_successes(self) -> tuple[int, int, int]:
        """Return the successes since the last time, how many of them were slow, and the age of the last in ms.

        The caller holds the lock.
        """
        slow, successes = self._count_slow(), self._count()  # reading a counter takes one number from it
        age_ms = int((monotonic() - self._succeeded_at) * 1000)
        taken = (successes - self._seen, slow - self._seen_slow, age_ms)
        self._seen, self._seen_slow = successes + 1, slow + 1
        return taken


class ProbePermit(Permit):
    """A lease of one of the permits inside half-open; it ends by itself if nothing is reported."""

    __slots__ = ("_circuit", "generation", "is_local", "token", "version")

    is_probe = True

    def __init__(self, circuit: Circuit, generation: str, version: int, token: str, *, is_local: bool) -> None:
        self._circuit = circuit
        self.generation, self.version, self.token, self.is_local = generation, version, token, is_local

    def succeed(self, duration_seconds: float = 0.0) -> None:
        self._circuit.report(self, self._outcome(duration_seconds))

    def fail(self, duration_seconds: float = 0.0) -> None:
        self._circuit.report_failure(self)

    async def fail_async(self, duration_seconds: float = 0.0) -> None:
        await self._circuit.report_failure_async(self)

    def release(self) -> None:
        self._circuit.report(self, Outcome.INCONCLUSIVE)

    def _outcome(self, duration_seconds: float) -> Outcome:
        is_slow = duration_seconds >= self._circuit.slow_seconds
        return Outcome.FAILURE if is_slow else Outcome.SUCCESS
