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

    __slots__ = ("group", "is_granted", "priority", "wake")

    def __init__(self, priority: Priority, group: str, wake: Callable[[], object]) -> None:
        self.priority = priority
        self.group = group
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
        self._places = {priority: limit.threshold(priority) for priority in Priority}
        self._kept = dict(limit.kept)
        self.after_fork()
        tell_of_forks(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        self._occupied = self._waiting = 0
        self._inside = dict.fromkeys(self._kept, 0)
        self._queues: dict[Priority, deque[_Waiter]] = {priority: deque() for priority in Priority}

    @property
    def occupied(self) -> int:
        return self._occupied

    def has_room(self, priority: Priority, group: str = "") -> bool:
        """Return whether a call would be let in now; takes nothing."""
        return self._free(priority, group) > 0

    def room(self, priority: Priority, group: str = "") -> int:
        """Return how many calls would be let in now; takes nothing."""
        return max(0, self._free(priority, group))

    def try_enter(self, priority: Priority, group: str = "") -> bool:
        """Take a place if one is free; give it back with ``leave`` and the same group."""
        with self._lock:
            if self._free(priority, group) <= 0:
                return False
            self._take(group)
            return True

    def enter_within(self, priority: Priority, seconds: float, group: str = "") -> bool:
        """Take a place, waiting for one at most ``seconds``."""
        freed = threading.Event()
        waiter = self._queue_up(priority, group, freed.set)
        if waiter is None:
            return True
        freed.wait(seconds)
        return self._is_in(waiter)

    async def enter_within_async(self, priority: Priority, seconds: float, group: str = "") -> bool:
        """Like ``enter_within``, for coroutines; a cancelled wait leaves no place taken."""
        loop = asyncio.get_running_loop()
        freed = asyncio.Event()
        waiter = self._queue_up(priority, group, lambda: loop.call_soon_threadsafe(freed.set))
        if waiter is None:
            return True
        try:
            async with asyncio.timeout(seconds):
                await freed.wait()
        except TimeoutError:
            return self._is_in(waiter)
        except asyncio.CancelledError:
            if self._is_in(waiter):
                self.leave(group)
            raise
        return self._is_in(waiter)

    def leave(self, group: str = "") -> None:
        """Give a place back, or hand it to who waits for it."""
        with self._lock:
            self._occupied -= 1
            if group in self._inside:
                self._inside[group] -= 1
            waiter = self._next_waiter() if self._waiting else None
            if waiter is None:
                return
            self._take(waiter.group)
            self._waiting -= 1
            waiter.is_granted = True
        waiter.wake()

    def _free(self, priority: Priority, group: str) -> int:
        """Return how many places are left for a group, those left out that others have kept and not taken."""
        free = self._places[priority] - self._occupied
        if not self._kept:
            return free
        kept = sum(max(0, most - self._inside[name]) for name, most in self._kept.items() if name != group)
        return min(free, self.limit.concurrent - self._occupied - kept)

    def _take(self, group: str) -> None:
        self._occupied += 1
        if group in self._inside:
            self._inside[group] += 1

    def _queue_up(self, priority: Priority, group: str, wake: Callable[[], object]) -> _Waiter | None:
        """Take a place at once (None), or a place in the queue."""
        with self._lock:
            if self._free(priority, group) > 0:
                self._take(group)
                return None
            waiter = _Waiter(priority, group, wake)
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
        """Take out who gets the place that the caller has given back: of each group it is who came first."""
        for priority in Priority:
            queue, passed = self._queues[priority], set[str]()
            for waiter in queue:
                if waiter.group not in passed and self._free(priority, waiter.group) > 0:
                    queue.remove(waiter)
                    return waiter
                passed.add(waiter.group)
                if len(passed) > len(self._kept):
                    break
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
        self._full_until: dict[tuple[str, Priority], float] = {}

    def wait_seconds(self, priority: Priority, group: str = "") -> float:
        """Return how long asking again is pointless, as far as is known here: a moment after a refusal; asks nobody."""
        zones = self.limit.zones(priority, group)
        return max(0.0, min(self._full_until.get((zone, priority), -math.inf) for zone, _ in zones) - time.monotonic())

    def try_enter(self, priority: Priority, group: str = "") -> str | None:
        """Take a place. Returns what ``leave`` wants back, or None when all are taken.

        One trip to Redis; a second one at most every 0.1 s, where the places kept for the group are taken.
        """
        place_id = uuid.uuid4().hex
        lease_us = round(self._lease_seconds * 1_000_000)
        for zone, most in self.limit.zones(priority, group):
            if zone and self._full_until.get((zone, priority), -math.inf) > time.monotonic():
                continue
            reply = self._store.run(ENTER, [self._key_of(zone)], [most, lease_us, place_id, lease_us // 500])
            if reply is None:
                return _ALONE if self._alone.try_enter(priority) else None
            if reply[0] == 1:
                return f"{zone}/{place_id}"
            self._full_until[zone, priority] = time.monotonic() + _FULL_SECONDS
        return None

    def leave(self, place_id: str) -> None:
        """Give a place back; if Redis is away, its lease ends by itself."""
        if place_id == _ALONE:
            self._alone.leave()
        else:
            zone, _, name = place_id.rpartition("/")
            self._store.run(LEAVE, [self._key_of(zone)], [name])

    def _key_of(self, zone: str) -> str:
        return f"{self._key}:{zone}" if zone else self._key

    async def try_enter_async(self, priority: Priority, group: str = "") -> str | None:
        """Take a place as ``try_enter`` does; a caller that is canceled meanwhile keeps none."""
        entering = asyncio.ensure_future(asyncio.to_thread(self.try_enter, priority, group))
        try:
            return await asyncio.shield(entering)
        except asyncio.CancelledError:
            entering.add_done_callback(self._give_back)
            raise

    def _give_back(self, entering: "asyncio.Future[str | None]") -> None:
        place = None if entering.cancelled() or entering.exception() else entering.result()
        if place is not None:
            asyncio.get_running_loop().run_in_executor(None, self.leave, place)

    async def leave_async(self, place_id: str) -> None:
        await asyncio.to_thread(self.leave, place_id)
