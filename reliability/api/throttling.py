"""How often one user may ask: so often that no sound program notices, and so seldom that a broken one harms nobody."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import cache

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from reliability.conf import get_conf
from reliability.core.rate_limit import Priority, RateLimit
from reliability.services.limits.rate import RateLimiter
from reliability.services.limits.store import LimitStore, get_store

_MOST_USERS = 10_000
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_LEASE_SECONDS = 0.5


@cache
def limit_for(per_second: int) -> RateLimit:
    """Return the limit of so many requests a second in the long run, of which a second's worth may come at once.

    Web processes take an eighth of that in advance at most and use it within half a second: so many more may come in
    one second.
    """
    calls = 2 * per_second + per_second // 2
    return RateLimit(calls=calls, per_seconds=1.0, burst=per_second, lease_seconds=_LEASE_SECONDS)


class UserLimits:
    """One limit for each user over all web processes; the longest unused are forgotten here.

    Requests are counted in blocks that this process takes from Redis in one trip of at most 50 ms: the busier a user,
    the larger the block, so that most requests need no trip. While Redis is away each process allows the whole
    by itself, and half as much again in the long run: nobody is refused because of an outage.
    """

    def __init__(
        self, store: Callable[[], LimitStore] = get_store, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._clock = store, clock
        self._lock = threading.Lock()
        self._limiters: OrderedDict[tuple[int, int], RateLimiter] = OrderedDict()

    def take(self, user: int, per_second: int, priority: Priority) -> float:
        """Count one request; returns 0, or the seconds after which there may be one."""
        return self._limiter(user, per_second).try_acquire(priority)

    def forget(self) -> None:
        with self._lock:
            self._limiters.clear()

    def _limiter(self, user: int, per_second: int) -> RateLimiter:
        key = (user, per_second)
        with self._lock:
            found = self._limiters.pop(key, None)
            if found is None:
                limit = limit_for(per_second)
                found = RateLimiter(f"requests:{user}", limit, self._store(), 1, self._clock)
            self._limiters[key] = found
            while len(self._limiters) > _MOST_USERS:
                self._limiters.popitem(last=False)
        return found


limits = UserLimits()


class UserThrottle(BaseThrottle):
    """Reads leave a part of what a user has to orders, cancels and kill switches, which are not read but sent."""

    def allow_request(self, request: Request, view: object) -> bool:
        per_second = get_conf().requests_per_second
        if not per_second or request.user is None or not request.user.is_authenticated:
            return True
        priority = Priority.NORMAL if request.method in _READS else Priority.CRITICAL
        self._wait = limits.take(request.user.pk, per_second, priority)
        return not self._wait

    def wait(self) -> float:
        return self._wait
