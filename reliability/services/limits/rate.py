"""The rate limiter of one account, shared by all processes: tokens are leased in small batches."""

import asyncio
import threading
import time
from collections.abc import Callable

from reliability.core.rate_limit import Bucket, LeasedTokens, Priority, RateLimit, charge, penalize, take
from reliability.services.limits.forks import tell_of_forks
from reliability.services.limits.scripts import PAUSE, TAKE_TOKENS
from reliability.services.limits.store import CHANNEL, LimitStore

_KEY_SECONDS = 86_400
_MICROSECONDS = 1_000_000
_SPACING_SECONDS = 0.01


class RateLimiter:
    """Says whether one more call may be made now; safe in threads and in coroutines.

    Most calls use a token this process leased before, without I/O. A lease is one trip to Redis of
    at most 50 ms. While Redis is away, this process keeps to its share: the limit divided by
    ``processes``, charged beforehand with what it took of late.
    """

    def __init__(
        self,
        name: str,
        limit: RateLimit,
        store: LimitStore,
        processes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.limit = limit
        self._share = limit.share(processes)
        self._store = store
        self._clock = clock
        self._key = f"stanchion:limits:rate:{name}"
        self.after_fork()
        tell_of_forks(self)
        store.keep(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()  # held for an instant
        self._trip = threading.Lock()  # held while one caller asks Redis for all
        self._tokens = LeasedTokens(self.limit)
        self._alone = Bucket()
        self._paused_until = 0.0
        self._not_before = dict.fromkeys(Priority, 0.0)

    def try_acquire(self, priority: Priority) -> float:
        """Take one call. Returns 0 when it may be made, else the wait in seconds; may take one trip to Redis."""
        wait = self.try_acquire_here(priority)
        return self._lease(priority) if wait is None else wait

    async def try_acquire_async(self, priority: Priority) -> float:
        """Like ``try_acquire``; a trip to Redis does not hold up the event loop."""
        wait = self.try_acquire_here(priority)
        return await asyncio.to_thread(self._lease, priority) if wait is None else wait

    def try_acquire_here(self, priority: Priority) -> float | None:
        """Take one call from what this process has. Returns 0, the wait, or None when only Redis knows."""
        now = self._clock()
        with self._lock:
            return self._use(now, priority)

    def wait_seconds(self, priority: Priority) -> float:
        """Return about how long a call would have to wait now; takes nothing and asks nobody."""
        now = self._clock()
        with self._lock:
            if now < self._paused_until:
                return self._paused_until - now
            if self._tokens.has(now, priority):
                return 0.0
            if self._store.is_away:
                return take(self._share, self._alone, now, 1, priority)[2]
            return max(0.0, self._not_before[priority] - now)

    def penalize(self, seconds: float) -> None:
        """Let nobody call for ``seconds``: the other side said so. Reaches every process; one trip to Redis."""
        self.hear_pause(seconds)
        life_ms = round((_KEY_SECONDS + seconds) * 1000)
        self._store.run(PAUSE, [self._key], [round(seconds * _MICROSECONDS), life_ms, CHANNEL, self.name])

    async def penalize_async(self, seconds: float) -> None:
        """Like ``penalize``, without holding up the event loop."""
        self.hear_pause(seconds)
        await asyncio.to_thread(self.penalize, seconds)

    def hear_pause(self, seconds: float) -> None:
        """Pause this process; a longer pause that is under way stays."""
        now = self._clock()
        with self._lock:
            self._tokens.drop()
            self._alone = penalize(self._alone, now, seconds)
            self._paused_until = max(self._paused_until, now + seconds)

    def flush(self) -> None:
        """Nothing is counted here that Redis does not know."""

    def _use(self, now: float, priority: Priority) -> float | None:
        if now < self._paused_until:
            return self._paused_until - now
        if self._tokens.use(now, priority):
            return 0.0
        if now < self._not_before[priority]:
            return self._not_before[priority] - now
        return None

    def _lease(self, priority: Priority) -> float:
        """Lease tokens and use one. Callers that come meanwhile wait for the same trip and then find its tokens."""
        with self._trip:
            asked_at = self._clock()
            with self._lock:
                wait = self._use(asked_at, priority)
                wanted = self._tokens.wanted
            if wait is not None:
                return wait
            reply = self._ask(priority, wanted)
            with self._lock:
                if reply is None:
                    return self._take_alone(self._clock(), priority)
                granted, wait_us, is_pause = reply
                return self._settle(asked_at, priority, wanted, granted, wait_us / _MICROSECONDS, is_pause == 1)

    def _ask(self, priority: Priority, wanted: int) -> list[int] | None:
        limit = self.limit
        durations = (limit.interval_seconds, limit.capacity_seconds, limit.kept_seconds(priority))
        in_us = [f"{seconds * _MICROSECONDS:.4f}" for seconds in durations]
        return self._store.run(TAKE_TOKENS, [self._key], [*in_us, wanted, _KEY_SECONDS * 1000])

    def _settle(
        self, asked_at: float, priority: Priority, wanted: int, granted: int, wait: float, is_pause: bool
    ) -> float:
        """Keep what was granted; its life counts from before the trip, so it never outlives the grant."""
        now = self._clock()
        if granted and now < self._paused_until:
            return self._paused_until - now
        if granted:
            self._alone = charge(self._share, self._alone, now, granted)
            self._tokens.add(asked_at, granted, priority)
            self._tokens.use(asked_at, priority)
            if granted < wanted:
                self._not_before[priority] = now + self._least_wait(wanted)
            return 0.0
        if is_pause:
            self._paused_until = max(self._paused_until, now + wait)
        else:
            wait = max(wait, self._least_wait(wanted))
            self._not_before[priority] = now + wait
        return wait

    def _least_wait(self, wanted: int) -> float:
        """Return how long an empty bucket is left alone, so that a busy account is asked for in batches."""
        return min(_SPACING_SECONDS, wanted * self.limit.interval_seconds)

    def _take_alone(self, now: float, priority: Priority) -> float:
        self._alone, _, wait = take(self._share, self._alone, now, 1, priority)
        return wait
