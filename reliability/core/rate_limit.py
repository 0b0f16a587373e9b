"""How often something may be called: a bucket of tokens, the last of which are for what settles and ends orders."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum


class Priority(StrEnum):
    """Whose call it is when not everybody can be served, first to last.

    ``CRITICAL``: cancels, and the look-ups that settle orders. ``HIGH``: new orders. ``NORMAL``: all else.
    """

    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most ``calls`` in any window of ``per_seconds``, however calls and windows lie.

    ``burst`` of them may come at once; the rest are spaced so that a full burst and the refill
    after it stay within ``calls``. Normal work leaves ``reserve`` of the burst alone, high work a third of that.
    ``lease_seconds`` is how long tokens that a process took in advance may be used later; the
    spacing allows for it, so leasing never breaks the promise.

    Raises:
        ValueError: a value is out of its range.
    """

    calls: int
    per_seconds: float
    burst: int = 0
    reserve: float = 0.3
    lease_seconds: float = -1.0

    def __post_init__(self) -> None:
        if self.calls < 1 or self.per_seconds <= 0:
            raise ValueError("calls is at least 1 and per_seconds is positive")
        if not 0 <= self.reserve < 1:
            raise ValueError("reserve is in [0, 1)")
        if self.burst == 0:
            object.__setattr__(self, "burst", max(1, self.calls // 10))
        if not 1 <= self.burst <= self.calls:
            raise ValueError("burst is from 1 to calls")
        if self.lease_seconds < 0:
            object.__setattr__(self, "lease_seconds", min(3.0, self.per_seconds / 20))

    @property
    def interval_seconds(self) -> float:
        """The time one token takes to come back."""
        return (self.per_seconds + self.lease_seconds) / (self.calls - self.burst + 1)

    @property
    def capacity_seconds(self) -> float:
        """The time an empty bucket takes to be full."""
        return self.burst * self.interval_seconds

    def kept_seconds(self, priority: Priority) -> float:
        """Return the part of the capacity that calls of ``priority`` leave alone: whole tokens, and never the only one.

        So a flood of orders keeps no look-up or cancel waiting: those take the next token that comes back.
        """
        share = {Priority.CRITICAL: 0.0, Priority.HIGH: self.reserve / 3, Priority.NORMAL: self.reserve}[priority]
        kept = min(math.ceil(self.burst * share), self.burst - 1)
        return kept * self.interval_seconds

    def share(self, processes: int) -> "RateLimit":
        """Return the limit of one of ``processes`` that do not hear of each other: together they keep the whole."""
        if processes < 1:
            raise ValueError("processes is at least 1")
        calls = self.calls // processes
        if calls >= 1:
            burst = max(1, min(self.burst // processes, calls))
            return replace(self, calls=calls, burst=burst, lease_seconds=0.0)
        per = self.per_seconds * math.ceil(processes / self.calls)
        return replace(self, calls=1, per_seconds=per, burst=1, lease_seconds=0.0)


@dataclass(frozen=True, slots=True)
class Bucket:
    """The state of a limiter: when it will be full again, and until when nobody may call.

    ``full_at`` is the theoretical arrival time of the generic cell rate algorithm. Instants are
    seconds of any clock that does not go back.

    Source:
        ITU-T I.371, annex A (virtual scheduling algorithm).
    """

    full_at: float = -math.inf
    paused_until: float = -math.inf


def take(limit: RateLimit, bucket: Bucket, now: float, wanted: int, priority: Priority) -> tuple[Bucket, int, float]:
    """Take up to ``wanted`` tokens.

    Returns the new state, the tokens granted (0 to ``wanted``), and, if none, the wait in seconds
    after which one may be there (more than 0).
    """
    if now < bucket.paused_until:
        return bucket, 0, bucket.paused_until - now
    missing = max(bucket.full_at - now, 0.0)
    free = limit.capacity_seconds - limit.kept_seconds(priority) - missing
    granted = min(wanted, math.floor(free / limit.interval_seconds + 1e-9))
    if granted < 1:
        return bucket, 0, max(limit.interval_seconds - free, 1e-6)
    full_at = max(bucket.full_at, now) + granted * limit.interval_seconds
    return replace(bucket, full_at=full_at), granted, 0.0


def charge(limit: RateLimit, bucket: Bucket, now: float, tokens: int) -> Bucket:
    """Return the state after ``tokens`` that were taken elsewhere, at most down to an empty bucket."""
    full_at = max(bucket.full_at, now) + tokens * limit.interval_seconds
    return replace(bucket, full_at=min(full_at, now + limit.capacity_seconds))


def penalize(bucket: Bucket, now: float, seconds: float) -> Bucket:
    """Return the state in which nobody calls for ``seconds``; a pause is never shortened."""
    return replace(bucket, paused_until=max(bucket.paused_until, now + max(seconds, 0.0)))


_AS_LOW = {one: list(Priority)[number:] for number, one in enumerate(Priority)}


class LeasedTokens:
    """Tokens one process took in advance, and how many it should take next; not safe in threads by itself.

    Tokens serve calls of the priority they were taken for, and of higher ones.
    A lease that was used up asks for twice as many next time, one that expired for half.
    """

    __slots__ = ("_expires_at", "_left", "_limit", "_size")

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._left = dict.fromkeys(Priority, 0)
        self._expires_at = -math.inf
        self._size = 1

    @property
    def most(self) -> int:
        """The largest lease: a quarter of what comes back during its life, and of the burst."""
        refill = self._limit.lease_seconds / self._limit.interval_seconds
        return max(1, min(math.floor(refill / 4), self._limit.burst // 4))

    @property
    def wanted(self) -> int:
        return self._size

    def has(self, now: float, priority: Priority) -> bool:
        return now < self._expires_at and any(self._left[one] for one in _AS_LOW[priority])

    def use(self, now: float, priority: Priority) -> bool:
        """Use one token, if there is one for ``priority``."""
        if now >= self._expires_at:
            if any(self._left.values()):
                self.drop()
                self._size = max(1, self._size // 2)
            return False
        for one in _AS_LOW[priority]:
            if self._left[one]:
                self._left[one] -= 1
                break
        else:
            return False
        if not any(self._left.values()):
            self._size = min(self._size * 2, self.most)
        return True

    def add(self, now: float, tokens: int, priority: Priority) -> None:
        """Keep ``tokens`` granted for ``priority``; all of them expire together, at the earliest moment of any."""
        if now >= self._expires_at or not any(self._left.values()):
            self.drop()
            self._expires_at = now + self._limit.lease_seconds
        self._left[priority] += tokens

    def drop(self) -> None:
        """Forget all tokens: somebody was told to slow down."""
        self._left = dict.fromkeys(Priority, 0)
