"""Who takes orders while things are killed. The product is one of them."""

from dataclasses import dataclass
from typing import Protocol

from benchmarks.loss.scenarios import Kill, Scenario
from benchmarks.services import Services


@dataclass(frozen=True, slots=True)
class Owed:
    """What the subject's own records say at the end, as order numbers."""

    committed: frozenset[int]
    """Durably accepted: each of these must reach the broker exactly once."""
    recorded: frozenset[int]
    """The broker's answer is on record."""


class LossSubject(Protocol):
    """One way of carrying out orders under kills. One scenario of one subject is a process of its own.

    ``start(services, scenario)`` once, from the main thread: make the tables, start the workers, return when
    orders can be submitted. The stub broker (``services.broker_url``) is the ledger: it takes every order
    it is sent and counts by quantity, so **the quantity of an order is its number** (from 1).

    ``submit(number, delay_seconds)`` from one thread, in order: hand over one order as a caller would,
    repeating what a careful caller repeats. Return True if the caller was told that it is accepted.

    ``kill(kind)`` from the main thread, for ``Kill.WORKERS`` and ``Kill.CHILD`` only: kill -9 one of them,
    and start again what nothing else would start. Redis and PostgreSQL are killed and started by the run.

    ``is_idle()`` during the final wait, once a second: no work is left that will still be done by itself.

    ``owed()`` at the end, ``exits()``: how many worker processes ended that nobody killed.

    ``stop()``: called also after a failure.

    ``unsupported(scenario)``: why the scenario cannot be run on this subject, or an empty string.
    """

    name: str

    def unsupported(self, scenario: Scenario) -> str: ...

    def start(self, services: Services, scenario: Scenario) -> None: ...

    def submit(self, number: int, delay_seconds: float) -> bool: ...

    def kill(self, kind: Kill) -> None: ...

    def is_idle(self) -> bool: ...

    def owed(self) -> Owed: ...

    def exits(self) -> int: ...

    def stop(self) -> None: ...
