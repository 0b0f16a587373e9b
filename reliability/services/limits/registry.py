"""One limiter, budget and bulkhead per name in each process: whoever asks for a name shares what it counts."""

import threading
from collections.abc import Callable
from typing import TypeVar

from reliability.conf import get_conf
from reliability.core.budget import BudgetPolicy
from reliability.core.bulkhead import BulkheadLimit
from reliability.core.rate_limit import RateLimit
from reliability.services.limits.budget import SharedBudget
from reliability.services.limits.bulkhead import Bulkhead, SharedPlaces
from reliability.services.limits.rate import RateLimiter
from reliability.services.limits.store import get_store

One = TypeVar("One")

_limiters: dict[tuple[str, RateLimit], RateLimiter] = {}
_budgets: dict[tuple[str, BudgetPolicy], SharedBudget] = {}
_bulkheads: dict[tuple[str, BulkheadLimit], Bulkhead] = {}
_places: dict[tuple[str, BulkheadLimit, float], SharedPlaces] = {}
_lock = threading.RLock()


def get_rate_limiter(name: str, limit: RateLimit) -> RateLimiter:
    """Return the limiter of ``name`` (an account); another limit for it is another limiter with the same state."""
    return _get(_limiters, (name, limit), lambda: RateLimiter(name, limit, get_store(), get_conf().calling_processes))


def get_budget(name: str, policy: BudgetPolicy) -> SharedBudget:
    """Return the retry budget of ``name`` (a dependency)."""
    return _get(_budgets, (name, policy), lambda: SharedBudget(name, policy, get_store()))


def get_bulkhead(name: str, limit: BulkheadLimit) -> Bulkhead:
    """Return this process's bulkhead of ``name`` (a dependency)."""
    return _get(_bulkheads, (name, limit), lambda: Bulkhead(name, limit))


def get_shared_places(name: str, limit: BulkheadLimit, lease_seconds: float) -> SharedPlaces:
    """Return the places for calls to ``name`` over all processes."""
    key = (name, limit, lease_seconds)
    return _get(
        _places, key, lambda: SharedPlaces(name, limit, get_store(), get_conf().calling_processes, lease_seconds)
    )


_Key = TypeVar("_Key")


def _get(known: dict[_Key, One], key: _Key, make: Callable[[], One]) -> One:
    found = known.get(key)
    if found is None:
        with _lock:
            found = known.get(key) or known.setdefault(key, make())
    return found
