"""The retry budget of one dependency, shared by all processes."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from reliability.core.budget import SLOTS, UNIT, BudgetPolicy, RetryBudget
from reliability.services.limits.forks import tell_of_forks
from reliability.services.limits.scripts import SPEND_BUDGET
from reliability.services.limits.store import LimitStore


class SharedBudget:
    """Counts calls here and spends in Redis, where the calls of all processes count; safe in threads.

    Calls are told to Redis with the next spending and every second, so a process that never fails
    feeds the budget as well. While Redis is away, retries keep within this process's own calls.
    """

    def __init__(
        self, name: str, policy: BudgetPolicy, store: LimitStore, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.policy = policy
        self._store = store
        self._clock = clock
        self._key = f"stanchion:limits:budget:{name}"
        self.after_fork()
        tell_of_forks(self)
        store.keep(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        self._local = RetryBudget(self.policy)
        self._calls = 0

    def deposit(self) -> None:
        """Count one call: its first attempt. Costs no trip."""
        self._calls += 1  # of two threads at the same instruction one may be lost, which only makes retries fewer

    def try_spend(self, cost: int, keep: float = 0.0) -> bool:
        """Return whether a retry that costs ``cost`` may be made; at most one trip to Redis, never raises for it.

        ``keep`` is the share of the floor that it leaves for more urgent ones.
        """
        return self.settle_spend(self._store.run(*self.spend_command(cost, keep)), cost, keep)

    async def try_spend_async(self, cost: int) -> bool:
        """Like ``try_spend``, without holding up the event loop."""
        return await asyncio.to_thread(self.try_spend, cost)

    def spend_command(self, cost: int, keep: float = 0.0) -> tuple[str, list[str], list[Any]]:
        """Return script, keys and arguments of one spending, for a caller that goes to Redis anyway.

        Its reply, or None without one, belongs to ``settle_spend``.
        """
        with self._lock:
            calls, self._calls = self._calls, 0
            self._local.deposit(self._clock(), calls)
        slot_us = round(self.policy.slot_seconds * 1_000_000)
        life_ms = round(self.policy.ttl_seconds * 2000)
        deposit = calls * self.policy.deposit_units
        spending = [deposit, cost * UNIT, self.policy.floor_units, slot_us, SLOTS, life_ms]
        return SPEND_BUDGET, [self._key], [*spending, self.policy.kept_units(keep)]

    def settle_spend(self, reply: list[int] | None, cost: int, keep: float = 0.0) -> bool:
        """Return whether the spending was granted: by Redis, or by this process alone when there is no reply."""
        with self._lock:
            if reply is None:
                return self._local.try_spend(self._clock(), cost, keep)
            if reply[0] == 1:
                self._local.try_spend(self._clock(), cost)
            return reply[0] == 1

    def hear_pause(self, seconds: float) -> None:
        """A pause of calls changes nothing about the share of retries."""

    def flush(self) -> None:
        if self._calls:
            self._store.run(*self.spend_command(0))
