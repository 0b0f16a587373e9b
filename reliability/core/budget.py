"""How many calls may be retries: a budget that calls fill and retries spend, so that retries never become the load."""

import math
from collections import deque
from dataclasses import dataclass

UNIT = 1000
SLOTS = 10


@dataclass(frozen=True, slots=True)
class BudgetPolicy:
    """``deposit`` of a retry per call, and ``floor_per_second`` retries besides; both live ``ttl_seconds``.

    So over any ``ttl_seconds`` retries cost at most ``deposit * calls + floor_per_second * ttl_seconds``.

    Source:
        Numbers of Finagle's RetryBudget (20 % of calls, tokens live 10 s); timeouts count twice as in the AWS SDKs.
    """

    deposit: float = 0.2
    floor_per_second: float = 1.0
    ttl_seconds: float = 10.0

    def __post_init__(self) -> None:
        if self.deposit < 0 or self.floor_per_second < 0 or self.ttl_seconds <= 0:
            raise ValueError("deposit and floor_per_second are at least 0 and ttl_seconds is positive")

    @property
    def deposit_units(self) -> int:
        """What one call brings, in thousandths of a retry."""
        return round(self.deposit * UNIT)

    @property
    def floor_units(self) -> int:
        """What is there without any call, in thousandths of a retry."""
        return round(self.floor_per_second * self.ttl_seconds * UNIT)

    def kept_units(self, share: float) -> int:
        """What a spending leaves alone that keeps ``share`` (in [0, 1]) of the floor for more urgent ones."""
        if not 0 <= share <= 1:
            raise ValueError("share is in [0, 1]")
        return round(self.floor_units * share)

    @property
    def slot_seconds(self) -> float:
        return self.ttl_seconds / SLOTS


DEFAULT_BUDGET = BudgetPolicy()


class RetryBudget:
    """The budget of one dependency as one process sees it; not safe in threads by itself.

    Deposits and costs are summed in ten slots of time, so a deposit lives between nine tenths
    and the whole of ``ttl_seconds``. Instants are seconds of any clock that does not go back.
    """

    def __init__(self, policy: BudgetPolicy) -> None:
        self._policy = policy
        self._slots: deque[tuple[int, int]] = deque()  # slot number, units added less units spent

    def deposit(self, now: float, calls: int = 1) -> None:
        """Count ``calls`` first attempts."""
        self._add(self._slot(now), calls * self._policy.deposit_units)

    def try_spend(self, now: float, cost: int = 1, keep: float = 0.0) -> bool:
        """Take ``cost`` retries, or nothing when they are not there beside the share ``keep`` of the floor."""
        if cost < 0:
            raise ValueError("cost is at least 0")
        if self.balance_units(now) < cost * UNIT + self._policy.kept_units(keep):
            return False
        self._add(self._slot(now), -cost * UNIT)
        return True

    def balance_units(self, now: float) -> int:
        """Return what is left, in thousandths of a retry; never negative."""
        oldest = self._slot(now) - SLOTS
        while self._slots and self._slots[0][0] <= oldest:
            self._slots.popleft()
        return max(0, self._policy.floor_units + sum(units for _, units in self._slots))

    def _slot(self, now: float) -> int:
        return math.floor(now / self._policy.slot_seconds)

    def _add(self, slot: int, units: int) -> None:
        """Add to the newest slot; a clock read a moment earlier by another thread counts into it as well."""
        if self._slots and self._slots[-1][0] >= slot:
            newest, before = self._slots.pop()
            self._slots.append((newest, before + units))
        else:
            self._slots.append((slot, units))
