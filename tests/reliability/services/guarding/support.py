"""A Valkey that tests may stop, freeze and start, and stand-ins for what a guard is made of."""

import asyncio
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import redis

from config.stack.launch import Account, child_setup
from config.stack.ports import take_block
from config.stack.valkey import Valkey
from reliability.core.budget import DEFAULT_BUDGET, BudgetPolicy
from reliability.core.catalog import CATALOG
from reliability.core.classification import ClassifiedError, Operation, RawFailure
from reliability.core.retry import RetryPolicy
from reliability.services.circuits import CircuitOpenError
from reliability.services.guarding.guard import Guard
from reliability.services.guarding.parts import Parts
from reliability.services.guarding.policy import GuardPolicy
from reliability.services.limits.budget import SharedBudget
from reliability.services.limits.bulkhead import Bulkhead, SharedPlaces
from reliability.services.limits.rate import RateLimiter
from reliability.services.limits.store import LimitStore


class OwnValkey:
    """One server of a test's own."""

    def __init__(self, data: Path, port: int) -> None:
        self._server = Valkey(data, port, secrets.token_urlsafe(24))
        self._server.configure()
        self.url = self._server.url
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        setup = child_setup(Account.SAME, signal.SIGKILL)
        self._child = subprocess.Popen(
            self._server.argv, stdout=subprocess.DEVNULL, preexec_fn=setup, start_new_session=True
        )
        client = redis.Redis.from_url(self.url)
        await_true(lambda: _answers(client))
        client.close()

    def stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def freeze(self) -> None:
        assert self._child is not None
        os.kill(self._child.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._child is not None
        os.kill(self._child.pid, signal.SIGCONT)


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


@contextmanager
def own_valkey(folder: Path) -> Iterator[OwnValkey]:
    ports = take_block()
    server = OwnValkey(folder, ports.base)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        ports.release()


def await_true(is_so: Any, seconds: float = 60.0) -> None:
    """Wait until ``is_so()``; fails if that never comes."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


class Clock:
    """A clock that tests move; its sleep moves it as well and is written down."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


@dataclass
class FakePermit:
    """Writes down what is reported to it."""

    reports: list[str]

    def succeed(self, duration_seconds: float = 0.0) -> None:
        self.reports.append("succeed")

    def fail(self, duration_seconds: float = 0.0) -> None:
        self.reports.append("fail")

    async def fail_async(self, duration_seconds: float = 0.0) -> None:
        self.reports.append("fail")

    def release(self) -> None:
        self.reports.append("release")


@dataclass
class FakeCircuit:
    """A circuit that a test opens and closes by hand."""

    remaining_seconds: float = 0.0
    admitted: int = 0
    reports: list[str] = field(default_factory=list)

    def admit(self) -> FakePermit:
        if self.remaining_seconds:
            from reliability.core.breaker import BreakerState

            raise CircuitOpenError("broker:orders", BreakerState.OPEN, self.remaining_seconds)
        self.admitted += 1
        return FakePermit(self.reports)

    async def admit_async(self) -> FakePermit:
        return self.admit()

    def wait_seconds(self) -> float:
        return self.remaining_seconds


@dataclass
class Workshop:
    """A guard with a hand-moved clock, a hand-moved circuit and no Redis."""

    guard: Guard
    circuit: FakeCircuit
    clock: Clock
    budget: SharedBudget
    limiter: RateLimiter | None
    bulkhead: Bulkhead | None


def make_guard(
    policy: GuardPolicy, *, fallback: Any = None, budget: BudgetPolicy = DEFAULT_BUDGET, store: LimitStore | None = None
) -> Workshop:
    clock, circuit = Clock(), FakeCircuit()
    store = store or LimitStore("")
    shared = SharedBudget(policy.name, budget, store, clock)
    limiter = RateLimiter(policy.limiter_name, policy.rate_limit, store, 1, clock) if policy.rate_limit else None
    bulkhead = Bulkhead(policy.name, policy.bulkhead) if policy.bulkhead else None
    places = SharedPlaces(policy.name, policy.shared_bulkhead, store, 1, 30.0) if policy.shared_bulkhead else None
    guard = Guard(
        policy,
        fallback,
        parts=Parts(circuit, shared, limiter, bulkhead, places),
        clock=clock,
        sleep=clock.sleep,
        sleep_async=clock.sleep_async,
        draw=lambda: 0.5,
    )
    return Workshop(guard, circuit, clock, shared, limiter, bulkhead)


RETRIES = RetryPolicy(max_attempts=4, time_limit=timedelta(seconds=60))
PLENTY = BudgetPolicy(floor_per_second=100.0)


class RaisedError(Exception):
    """An adapter's error that knows what it is."""

    def __init__(self, code: str, *, ambiguous: bool = False, retry_after: float | None = None) -> None:
        super().__init__(code, ambiguous, retry_after)
        self.code = code
        self.ambiguous = ambiguous
        self.retry_after = retry_after

    def classified(self, source: str, operation: Operation) -> ClassifiedError:
        definition = CATALOG[self.code]
        return ClassifiedError(
            definition=definition,
            severity=definition.severity,
            strategy=definition.strategy,
            retryable=definition.retryable,
            ambiguous=self.ambiguous,
            raw=RawFailure(source, operation),
            rule="given",
            retry_after_seconds=self.retry_after,
        )


class Script:
    """A function that raises what it is told to, then returns how often it was called."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.calls

    async def asynchronous(self, *args: Any, **kwargs: Any) -> int:
        await asyncio.sleep(0)
        return self(*args, **kwargs)


UNSENT = "NETWORK_CONNECT_REFUSED"


def run(workshop: Workshop, script: Script, way: str, *args: Any) -> Any:
    if way == "sync":
        return workshop.guard.call(script, *args)
    return asyncio.run(workshop.guard.call_async(script.asynchronous, *args))
