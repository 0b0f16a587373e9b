"""The product: its circuit, and its guard around functions and coroutines, sharing state through Redis."""

import logging
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import count
from typing import Any

from django.conf import settings

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
    trip,
)

CIRCUIT, GUARD, RETRY = "stanchion circuit", "stanchion guard", "stanchion guard, retry"
_numbers = count(1)


def cases(url: str) -> Iterator[Case]:
    settings.configure(RELIABILITY={"redis_url": url})
    logging.getLogger("reliability").addHandler(logging.NullHandler())  # a line per failure is made, and goes nowhere
    logging.getLogger("reliability").propagate = False
    yield from _circuits()
    yield from _guards()
    yield from _retries()


def _circuits() -> Iterator[Case]:
    section = "breaker"
    yield Case(section, CIRCUIT, "admitted", lambda: passing(_call_through(_circuit())))
    yield Case(section, CIRCUIT, "rejected", lambda: _refusing(_call_through, _tripped()))
    yield Case(section, CIRCUIT, "failed", lambda: raising(_call_through(_circuit(), fail), BrokenError))
    yield Case(section, f"{CIRCUIT}, permits", "admitted", lambda: passing(_permit_of(_circuit())))
    yield Case(section, f"{CIRCUIT}, permits", "rejected", lambda: _refusing(_permit_of, _tripped()))
    section = "breaker, coroutine"
    yield Case(section, CIRCUIT, "admitted", lambda: passing_async(_call_through_async(_circuit())))
    yield Case(section, CIRCUIT, "rejected", lambda: _refusing_async(_call_through_async, _tripped()))
    yield Case(section, CIRCUIT, "failed", lambda: raising_async(_failing_async(_circuit()), BrokenError))


def _guards() -> Iterator[Case]:
    for words, options in _equipment().items():
        subject = f"{GUARD}{words}"
        yield Case("guard", subject, "admitted", partial(_passing_guard, options))
        yield Case("guard", subject, "rejected", partial(_refused_guard, options))
    for words, options in _equipment().items():
        subject = f"{GUARD}{words}"
        section = "guard, coroutine"
        yield Case(section, subject, "admitted", partial(_passing_guard_async, options))
        yield Case(section, subject, "rejected", partial(_refused_guard_async, options))
    yield Case("guard", f"{GUARD}, bulkhead full", "rejected", _full_bulkhead)
    yield Case("guard", f"{GUARD}, rate used up", "rejected", _spent_rate)


def _retries() -> Iterator[Case]:
    from reliability import RetryPolicy

    options = {"retry": RetryPolicy()}
    yield Case("retry", RETRY, "admitted", lambda: passing(_guarded(ok, options)))
    yield Case("retry", RETRY, "failed", lambda: raising(_guarded(blunder, options), ValueError))
    yield Case("retry", f"{RETRY}, refusal", "failed", lambda: raising(_guarded(_refuse, options), _RefusedError))
    yield Case("retry", f"{RETRY}, unknown error", "failed", lambda: raising(_guarded(_surprise, options), _OddError))
    section = "retry, coroutine"
    yield Case(section, RETRY, "admitted", lambda: passing_async(_guarded(ok_async, options)))
    yield Case(section, RETRY, "failed", lambda: raising_async(_guarded(blunder_async, options), ValueError))


class _OddError(Exception):
    """What no table knows: it is guessed, and counts as a failure of the dependency."""


class _RefusedError(Exception):
    """A refusal of a broker, as an adapter raises it: it says by itself what it is."""

    def classified(self, source: str, operation: Any) -> Any:
        return _refusal()


@cache
def _refusal() -> Any:
    from reliability.core.classification import Operation, RawFailure
    from reliability.services.classification import classify

    return classify(RawFailure(source="python", operation=Operation.SUBMIT, raw_code="ValueError", message="refused"))


def _surprise() -> int:
    raise _OddError("something odd")


def _refuse() -> int:
    raise _RefusedError("insufficient funds")


def _equipment() -> dict[str, dict[str, Any]]:
    from reliability import RetryPolicy
    from reliability.core.bulkhead import BulkheadLimit
    from reliability.core.rate_limit import RateLimit

    bulkhead, rate = {"bulkhead": BulkheadLimit(10)}, {"rate_limit": RateLimit(100_000_000, 1.0)}
    return {
        "": {},
        ", bulkhead": bulkhead,
        ", rate limit": rate,
        ", bulkhead + rate limit": {**bulkhead, **rate},
        ", everything": {**bulkhead, **rate, "timeout": 2.0, "retry": RetryPolicy()},
    }


def _circuit(name: str = "", **limits: Any) -> Any:
    from reliability.core.breaker import BreakerSettings
    from reliability.services.circuits import configure, get_circuit

    name = name or f"bench-{next(_numbers)}"
    limits = limits or {"failure_threshold": NEVER, "volume_threshold": NEVER}
    configure(name, BreakerSettings(**limits), version=1)
    circuit = get_circuit(name)
    circuit.call(ok)  # it asks the store once, then knows
    return circuit


def _tripped(name: str = "") -> Any:
    circuit = _circuit(name, cooldown_seconds=HOUR)
    trip(lambda: circuit.call(fail), lambda: circuit.call(ok))
    return circuit


def _call_through(circuit: Any, function: Callable[[], Any] = ok) -> Callable[[], Any]:
    return lambda: circuit.call(function)


def _call_through_async(circuit: Any) -> Callable[[], Any]:
    return lambda: circuit.call_async(ok_async)


def _failing_async(circuit: Any) -> Callable[[], Any]:
    return lambda: circuit.call_async(fail_async)


def _permit_of(circuit: Any) -> Callable[[], Any]:
    """What a caller pays that makes the call itself."""

    def call() -> int:
        permit = circuit.admit()
        permit.succeed(0.0)
        return 1

    return call


def _refusing(way: Callable[[Any], Callable[[], Any]], circuit: Any) -> Loop:
    from reliability.services.circuits import CircuitOpenError

    return raising(way(circuit), CircuitOpenError)


def _refusing_async(way: Callable[[Any], Callable[[], Any]], circuit: Any) -> Loop:
    from reliability.services.circuits import CircuitOpenError

    return raising_async(way(circuit), CircuitOpenError)


def _guarded(function: Callable[[], Any], options: dict[str, Any]) -> Any:
    from reliability import guard

    name = f"bench-{next(_numbers)}"
    _circuit(name)
    return guard(name, **options)(function)


def _passing_guard(options: dict[str, Any]) -> Loop:
    return passing(_guarded(ok, options))


def _passing_guard_async(options: dict[str, Any]) -> Loop:
    return passing_async(_guarded(ok_async, options))


def _refused_guard(options: dict[str, Any]) -> Loop:
    from reliability.services.circuits import CircuitOpenError

    guarded = _guarded(ok, options)
    _open(guarded.guard)
    return raising(guarded, CircuitOpenError)


def _refused_guard_async(options: dict[str, Any]) -> Loop:
    from reliability.services.circuits import CircuitOpenError

    guarded = _guarded(ok_async, options)
    _open(guarded.guard)
    return raising_async(guarded, CircuitOpenError)


def _open(one: Any) -> None:
    """Open the circuit of a guard by failures, with a cooldown that outlasts the run."""
    from reliability.core.breaker import BreakerSettings
    from reliability.services.circuits import configure, get_circuit

    name = one.policy.circuit_name
    configure(name, BreakerSettings(cooldown_seconds=HOUR), version=2)
    circuit = get_circuit(name)
    trip(lambda: circuit.call(fail), lambda: circuit.call(ok))


def _full_bulkhead() -> Loop:
    from reliability.core.bulkhead import BulkheadLimit
    from reliability.services.guarding.errors import CallRefusedError

    guarded = _guarded(ok, {"bulkhead": BulkheadLimit(1)})
    guarded.guard.attempt().__enter__()  # the one place, for as long as the process lives
    return raising(guarded, CallRefusedError)


def _spent_rate() -> Loop:
    from reliability.core.rate_limit import RateLimit
    from reliability.services.guarding.errors import CallRefusedError

    guarded = _guarded(ok, {"rate_limit": RateLimit(1, float(HOUR))})
    trip(guarded, guarded)
    return raising(guarded, CallRefusedError)
