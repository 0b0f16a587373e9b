"""Circuit breakers and retries of other libraries, used the way their documentation shows."""

from collections.abc import Callable, Iterator
from typing import Any

import redis
import redis.asyncio

from benchmarks.resilience.loops import (
    HOUR,
    NEVER,
    BrokenError,
    Case,
    Loop,
    blunder,
    blunder_async,
    fail,
    fail_async,
    ok,
    ok_async,
    passing,
    passing_async,
    raising,
    raising_async,
    run,
    trip,
)

Wrap = Callable[[Callable[[], Any]], Callable[[], Any]]
MakeBreaker = Callable[[str, int], Wrap]  # name and the failures it opens at -> decorator
THRESHOLD = 5


def pybreaker_cases(url: str) -> Iterator[Case]:
    import pybreaker

    def make(name: str, failures: int) -> Wrap:
        return pybreaker.CircuitBreaker(fail_max=failures, reset_timeout=HOUR, name=name)

    def make_shared(name: str, failures: int) -> Wrap:
        storage = pybreaker.CircuitRedisStorage("closed", redis.Redis.from_url(url), namespace=name)
        return pybreaker.CircuitBreaker(fail_max=failures, reset_timeout=HOUR, state_storage=storage, name=name)

    yield from _breaker("pybreaker, memory", make, pybreaker.CircuitBreakerError)
    yield from _breaker("pybreaker, Redis", make_shared, pybreaker.CircuitBreakerError)


def circuitbreaker_cases(url: str) -> Iterator[Case]:
    from circuitbreaker import CircuitBreaker, CircuitBreakerError

    def make(name: str, failures: int) -> Wrap:
        return CircuitBreaker(failure_threshold=failures, recovery_timeout=HOUR, name=name)

    yield from _breaker("circuitbreaker, memory", make, CircuitBreakerError)
    yield from _breaker_async("circuitbreaker, memory", make, CircuitBreakerError)


def purgatory_cases(url: str) -> Iterator[Case]:
    import purgatory
    from purgatory.domain.model import OpenedState

    def make(name: str, failures: int) -> Wrap:
        factory = purgatory.SyncCircuitBreakerFactory(failures, HOUR)
        factory.initialize()
        return factory(name)

    def make_shared(name: str, failures: int) -> Wrap:
        factory = purgatory.SyncCircuitBreakerFactory(failures, HOUR, uow=purgatory.SyncRedisUnitOfWork(url))
        factory.initialize()
        return factory(name)

    def make_async(name: str, failures: int) -> Wrap:
        factory = purgatory.AsyncCircuitBreakerFactory(failures, HOUR)
        run(factory.initialize())
        return factory(name)

    def make_shared_async(name: str, failures: int) -> Wrap:
        factory = purgatory.AsyncCircuitBreakerFactory(failures, HOUR, uow=purgatory.AsyncRedisUnitOfWork(url))
        run(factory.initialize())
        return factory(name)

    yield from _breaker("purgatory, memory", make, OpenedState)
    yield from _breaker("purgatory, Redis", make_shared, OpenedState)
    yield from _breaker_async("purgatory, memory", make_async, OpenedState)
    yield from _breaker_async("purgatory, Redis", make_shared_async, OpenedState)


def interlock_cases(url: str) -> Iterator[Case]:
    from interlock import CircuitBreaker, CircuitOpenError, Config
    from interlock.integrations.redis import AsyncRedisStorage, RedisStorage

    pace: dict[str, Any] = {"poll_interval": 0.05, "state_ttl": HOUR}

    def config(failures: int) -> Config:
        return Config(wait_duration_in_open=HOUR, minimum_number_of_calls=failures, window_size=max(100, failures))

    def make(name: str, failures: int) -> Wrap:
        return CircuitBreaker(name=name, config=config(failures))

    def make_shared(name: str, failures: int) -> Wrap:
        storage = RedisStorage(redis.Redis.from_url(url), **pace)
        return CircuitBreaker(name=name, config=config(failures), storage=storage)

    def make_shared_async(name: str, failures: int) -> Wrap:
        storage = AsyncRedisStorage(redis.asyncio.Redis.from_url(url), **pace)
        return CircuitBreaker(name=name, config=config(failures), storage=storage)

    yield from _breaker("interlock-cb, memory", make, CircuitOpenError)
    yield from _breaker("interlock-cb, Redis", make_shared, CircuitOpenError)
    yield from _breaker_async("interlock-cb, memory", make, CircuitOpenError)
    yield from _breaker_async("interlock-cb, Redis", make_shared_async, CircuitOpenError)


def nopanic_cases(url: str) -> Iterator[Case]:
    import nopanic

    def make(name: str, failures: int) -> Wrap:
        return nopanic.circuit_breaker(min_calls=failures, reset_timeout=HOUR, name=name)

    yield from _breaker("nopanic, memory", make, nopanic.CircuitOpen)
    yield from _breaker_async("nopanic, memory", make, nopanic.CircuitOpen)
    yield from _retry("nopanic", nopanic.retry(attempts=5, on=OSError))
    yield from _retry_async("nopanic", nopanic.retry(attempts=5, on=OSError))


def nopanic_redis_cases(url: str) -> Iterator[Case]:
    import nopanic
    import nopanic_redis

    def make(name: str, failures: int) -> Wrap:
        client = redis.Redis.from_url(url)
        return nopanic_redis.redis_circuit_breaker(client, name=name, min_calls=failures, reset_timeout=HOUR)

    def make_async(name: str, failures: int) -> Wrap:
        client = redis.asyncio.Redis.from_url(url)
        return nopanic_redis.redis_circuit_breaker(client, name=name, min_calls=failures, reset_timeout=HOUR)

    yield from _breaker("nopanic, Redis", make, nopanic.CircuitOpen)
    yield from _breaker_async("nopanic, Redis", make_async, nopanic.CircuitOpen)


def tenacity_cases(url: str) -> Iterator[Case]:
    import tenacity

    decorator = tenacity.retry(
        stop=tenacity.stop_after_attempt(5),
        wait=tenacity.wait_exponential_jitter(0.1, 32),
        retry=tenacity.retry_if_exception_type(OSError),
        reraise=True,
    )
    yield from _retry("tenacity", decorator)
    yield from _retry_async("tenacity", decorator)


def stamina_cases(url: str) -> Iterator[Case]:
    import stamina

    yield from _retry("stamina", stamina.retry(on=OSError, attempts=5))
    yield from _retry_async("stamina", stamina.retry(on=OSError, attempts=5))


def backoff_cases(url: str) -> Iterator[Case]:
    import backoff

    yield from _retry("backoff", backoff.on_exception(backoff.expo, OSError, max_tries=5))
    yield from _retry_async("backoff", backoff.on_exception(backoff.expo, OSError, max_tries=5))


def _breaker(subject: str, make: MakeBreaker, refusal: type[Exception]) -> Iterator[Case]:
    section = "breaker"
    yield Case(section, subject, "admitted", lambda: passing(make(f"{subject} a", THRESHOLD)(ok)))
    yield Case(section, subject, "rejected", lambda: _refusing(make(f"{subject} r", THRESHOLD), refusal))
    yield Case(section, subject, "failed", lambda: raising(make(f"{subject} f", NEVER)(fail), BrokenError))


def _breaker_async(subject: str, make: MakeBreaker, refusal: type[Exception]) -> Iterator[Case]:
    section = "breaker, coroutine"
    name = f"{subject} coroutine"
    yield Case(section, subject, "admitted", lambda: passing_async(make(f"{name} a", THRESHOLD)(ok_async)))
    yield Case(section, subject, "rejected", lambda: _refusing_async(make(f"{name} r", THRESHOLD), refusal))
    yield Case(section, subject, "failed", lambda: raising_async(make(f"{name} f", NEVER)(fail_async), BrokenError))


def _refusing(breaker: Wrap, refusal: type[Exception]) -> Loop:
    failing, working = breaker(fail), breaker(ok)
    trip(failing, working)
    return raising(working, refusal)


def _refusing_async(breaker: Wrap, refusal: type[Exception]) -> Loop:
    failing, working = breaker(fail_async), breaker(ok_async)
    trip(lambda: run(_await(failing)), lambda: run(_await(working)))
    return raising_async(working, refusal)


async def _await(call: Callable[[], Any]) -> Any:
    return await call()


def _retry(subject: str, decorator: Wrap) -> Iterator[Case]:
    yield Case("retry", subject, "admitted", lambda: passing(decorator(ok)))
    yield Case("retry", subject, "failed", lambda: raising(decorator(blunder), ValueError))


def _retry_async(subject: str, decorator: Wrap) -> Iterator[Case]:
    yield Case("retry, coroutine", subject, "admitted", lambda: passing_async(decorator(ok_async)))
    yield Case("retry, coroutine", subject, "failed", lambda: raising_async(decorator(blunder_async), ValueError))
