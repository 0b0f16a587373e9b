"""How often one user may ask: so often that no sound program notices, and so seldom that a broken one harms nobody."""

import threading
from collections import OrderedDict
from functools import cache
from time import monotonic

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from reliability.conf import get_conf
from reliability.core.rate_limit import Bucket, Priority, RateLimit, take

_MOST_USERS = 10_000
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


@cache
def limit_for(per_second: int) -> RateLimit:
    """Return the limit of so many requests a second, of which a second's worth may come at once."""
    return RateLimit(calls=2 * per_second, per_seconds=1.0, burst=per_second, lease_seconds=0.0)


class Buckets:
    """One bucket for each user of this process; the longest unused are forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: OrderedDict[int, Bucket] = OrderedDict()

    def take(self, user: int, limit: RateLimit, now: float, priority: Priority) -> float:
        """Take one token; returns 0, or the seconds after which there may be one."""
        with self._lock:
            bucket, granted, wait = take(limit, self._buckets.pop(user, Bucket()), now, 1, priority)
            self._buckets[user] = bucket
            while len(self._buckets) > _MOST_USERS:
                self._buckets.popitem(last=False)
        return 0.0 if granted else wait

    def forget(self) -> None:
        with self._lock:
            self._buckets.clear()


buckets = Buckets()


class UserThrottle(BaseThrottle):
    """Reads leave a part of what a user has to orders, cancels and kill switches, which are not read but sent.

    It is counted in each web process by itself, because asking Redis would cost each order more than it is worth,
    and nobody could send orders while it is away.
    """

    def allow_request(self, request: Request, view: object) -> bool:
        per_second = get_conf().requests_per_second
        if not per_second or request.user is None or not request.user.is_authenticated:
            return True
        priority = Priority.NORMAL if request.method in _READS else Priority.CRITICAL
        self._wait = buckets.take(request.user.pk, limit_for(per_second), monotonic(), priority)
        return not self._wait

    def wait(self) -> float:
        return self._wait
