"""How many calls to one dependency this process has under way, and, where the limit is the broker's, all processes."""

import asyncio
import math
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable

from reliability.core.bulkhead import BulkheadLimit
from reliability.core.rate_limit import Priority
from reliability.services.limits.forks import tell_of_forks
from reliability.services.limits.scripts import ENTER, LEAVE
from reliability.services.limits.store import LimitStore

_FULL_SECONDS = 0.1
_ALONE = "alone"  # a place of this process's own share, taken while Redis was away


class _Waiter:
    """One caller in the queue; ``is_granted`` once a place is its own."""

    __slots__ = ("is_granted", "priority", "wake")

    def __init__(self, priority: Priority, wake: Callable[[], object]) -> None:
        self.priority = priority
        self.wake = wake
        self.is_granted = False


class Bulkhead:
    """Places for calls to one dependency in this process; safe in threads and coroutines, never blocks to enter.

    A place that becomes free goes to whoever has waited longest among those who may have it,
    of the highest priority first; nobody who comes later overtakes them.
    """

    def __init__(self, name: str, limit: BulkheadLimit) -> None:
        self.name = name
        self.limit = limit
        self._places = {priority: limit.places(priority) for priority in Priority}
        self.after_fork()
        tell_of_forks(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        self._occupied = self._waiting = 0
        self._queues: dict[Priority, deque[_Waiter]] = {priority: deque() for priority in Priority}

    @property
    def occupied(self) -> int:
        return self._occupied

    def has_room(self, priority: Priority) -> bool:
        """Return whether a call would be let in now; takes nothing."""
        return self._occupied < self._places[priority]

    def room(self, priority: Priority) -> int:
        """Return how many calls would be let in now; takes nothing."""
        return max(0, self._places[priority] - self._occupied)

    def try_enter(self, priority: Priority) -> bool:
        """Take a place if one is free; give it back with ``leave``."""
        with self._lock:
            if self._occupied >= self._places[priority]:
                return False
            self._occupied += 1
            return True

    def enter_within(self, priority: Priority, seconds: float) -> bool:
        """Take a place, waiting for one at most ``seconds``."""
        freed = threading.Event()
        waiter = self._queue_up(priority, freed.set)
        if waiter is None:
            return True
        freed.wait(seconds)
        return self._is_in(waiter)

    async def enter_within_async(self, priority: Priority, seconds: float) -> bool:
        """Like ``enter_within``, for coroutines; a cancelled wait leaves no place taken."""
        loop = asyncio.get_running_loop()
        freed = asyncio.Event()
        waiter = self._queue_up(priority, lambda: loop.call_soon_threadsafe(freed.set))
        if waiter is None:
            return True
        try:
            async with asyncio.timeout(seconds):
                await freed.wait()
        except TimeoutError:
            return self._is_in(waiter)
        except asyncio.CancelledError:
            if self._is_in(waiter):
                self.leave()
            raise
        return self._is_in(waiter)

    def leave(self) -> None:
        """Give a place back, or hand it to who waits for it."""
        with self._lock:
            waiter = self._next_waiter() if self._waiting else None
            if waiter is None:
                self._occupied -= 1
                return
            self._waiting -= 1
            waiter.is_granted = True
        waiter.wake()

    def _queue_up(self, priority: Priority, wake: Callable[[], object]) -> _Waiter | None:
        """Take a place at once (None), or a place in the queue."""
        with self._lock:
            if self._occupied < self._places[priority]:
                self._occupied += 1
                return None
            waiter = _Waiter(priority, wake)
            self._queues[priority].append(waiter)
            self._waiting += 1
            return waiter

    def _is_in(self, waiter: _Waiter) -> bool:
        """Return whether ``waiter`` has a place; without one it stops waiting."""
        with self._lock:
            if not waiter.is_granted:
                self._queues[waiter.priority].remove(waiter)
                self._waiting -= 1
            return waiter.is_granted

    def _next_waiter(self) -> _Waiter | None:
        """Take out who gets the place that the caller is about to give back."""
        for priority in Priority:
            queue = self._queues[priority]
            if queue and self._occupied <= self._places[priority]:
                return queue.popleft()
        return None


class SharedPlaces:
    """Places for calls over all processes, for a limit that is the broker's: each is a lease in Redis.

    A process that dies gives its places back when their leases end, so ``lease_seconds`` is the
    longest a call may take. While Redis is away each process has its share of the places.
    """

    def __init__(
        self,
        name: str,
        limit: BulkheadLimit,
        store: LimitStore,
        processes: int,
        lease_seconds: float,
    ) -> None:
        if lease_seconds <= 0:
            raise ValueError("lease_seconds is positive")
        self.name = name
        self.limit = limit
        self._store = store
        self._lease_seconds = lease_seconds
        self._key = f"stanchion:limits:places:{name}"
        self._alone = Bulkhead(name, limit.share(processes))
        self._full_until = dict.fromkeys(Priority, -math.inf)

    def wait_seconds(self, priority: Priority) -> float:
        """Return how long asking again is pointless, as far as is known here: a moment after a refusal; asks nobody."""
        return max(0.0, self._full_until[priority] - time.monotonic())

    def try_enter(self, priority: Priority) -> str | None:
        """Take a place. Returns what ``leave`` wants back, or None when all are taken; one trip to Redis."""
        place_id = uuid.uuid4().hex
        most = self.limit.places(priority)
        lease_us = round(self._lease_seconds * 1_000_000)
        reply = self._store.run(ENTER, [self._key], [most, lease_us, place_id, lease_us // 500])
        if reply is None:
            return _ALONE if self._alone.try_enter(priority) else None
        if reply[0] != 1:
            self._full_until[priority] = time.monotonic() + _FULL_SECONDS
            return None
        return place_id

    def leave(self, place_id: str) -> None:
        """Give a place back; if Redis is away, its lease ends by itself."""
        if place_id == _ALONE:
            self._alone.leave()
        else:
            self._store.run(LEAVE, [self._key], [place_id])

    async def try_enter_async(self, priority: Priority) -> str | None:
        return await asyncio.to_thread(self.try_enter, priority)

    async def leave_async(self, place_id: str) -> None:
        await asyncio.to_thread(self.leave, place_id)
