"""The breakers that are probed: each a function that makes one, which calls what it is given or refuses."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Call = Callable[[Callable[[], Any]], Any]
OURS = "stanchion"
FAILURES = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """What every subject is set to: 5 failures open it, for ``cooldown`` seconds, then ``permits`` probes."""

    cooldown: float = 60.0
    permits: int = 3
    lease: float = 2.0


def make(subject: str, url: str, key: str, limits: Limits) -> Call:
    """Return a breaker called ``key`` that shares its state through the Redis at ``url``."""
    return SUBJECTS[subject].make(url, key, limits)


def _stanchion(url: str, key: str, limits: Limits) -> Call:
    from django.conf import settings

    if not settings.configured:
        settings.configure(RELIABILITY={"redis_url": url})
    from reliability.core.breaker import BreakerSettings
    from reliability.services.circuits import StoreUnavailableError, configure, get_circuit

    sys.setswitchinterval(0.001)  # as ``follow_records`` does in every process of the product
    wanted = BreakerSettings(
        failure_threshold=FAILURES,
        success_threshold=limits.permits,
        cooldown_seconds=limits.cooldown,
        probe_lease_seconds=limits.lease,
    )
    try:
        configure(key, wanted, version=1)
    except StoreUnavailableError:
        return get_circuit(key).call  # a program that starts while the store is away
    return get_circuit(key).call


def _pybreaker(url: str, key: str, limits: Limits) -> Call:
    import pybreaker
    import redis

    storage = pybreaker.CircuitRedisStorage("closed", redis.Redis.from_url(url), namespace=key)
    call: Call = pybreaker.CircuitBreaker(FAILURES, limits.cooldown, limits.permits, state_storage=storage).call
    return call


def _nopanic(url: str, key: str, limits: Limits) -> Call:
    import redis
    from nopanic_redis import redis_circuit_breaker

    options: dict[str, Any] = {
        "min_calls": FAILURES,
        "reset_timeout": limits.cooldown,
        "half_open_max_calls": limits.permits,
    }
    wrap = redis_circuit_breaker(redis.Redis.from_url(url), name=key, **options)
    call: Call = wrap(lambda fn: fn())
    return call


def _interlock(poll_seconds: float) -> Callable[[str, str, Limits], Call]:
    def build(url: str, key: str, limits: Limits) -> Call:
        import redis
        from interlock import CircuitBreaker, Config
        from interlock.integrations.redis import RedisStorage

        config = Config(
            minimum_number_of_calls=FAILURES,
            wait_duration_in_open=limits.cooldown,
            permitted_calls_in_half_open=limits.permits,
            max_concurrent_probes=limits.permits,
        )
        storage = RedisStorage(redis.Redis.from_url(url), state_ttl=60.0, poll_interval=poll_seconds)
        call: Call = CircuitBreaker(name=key, config=config, storage=storage)(lambda fn: fn())
        return call

    return build


@dataclass(frozen=True, slots=True)
class Subject:
    """``packages`` must be installed for it."""

    make: Callable[[str, str, Limits], Call]
    packages: tuple[str, ...] = ()


SUBJECTS = {
    OURS: Subject(_stanchion),
    "pybreaker": Subject(_pybreaker, ("pybreaker",)),
    "nopanic-redis": Subject(_nopanic, ("nopanic", "nopanic-redis")),
    "interlock-cb, its poll (1 s)": Subject(_interlock(1.0), ("interlock-cb",)),
    "interlock-cb, poll 50 ms": Subject(_interlock(0.05), ("interlock-cb",)),
}
