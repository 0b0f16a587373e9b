"""Loops around one way of calling: what a case is, and how its calls are repeated."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Literal

Loop = Callable[[int], None]
Kind = Literal["admitted", "rejected", "failed"]
KINDS: tuple[Kind, ...] = ("admitted", "rejected", "failed")
HOUR = 3600
NEVER = 1_000_000  # as a number of failures
TRIPPING = 120  # failures that open every breaker here

_events = asyncio.new_event_loop()


class BrokenError(ConnectionError):
    """What a broken dependency raises."""


@dataclass(frozen=True, slots=True)
class Case:
    """One figure: calls of ``subject`` that are ``admitted``, ``rejected``, or ``failed`` by the called function.

    ``prepare`` makes the subject ready and returns the loop that calls it so many times. It and the
    loop raise whatever the library raises, and ``AssertionError`` when calls do not end as the kind says.
    """

    section: str
    subject: str
    kind: Kind
    prepare: Callable[[], Loop]


def ok() -> int:
    return 1


def fail() -> int:
    raise BrokenError("the dependency is broken")


def blunder() -> int:
    """Raise what none of the retries here is set to repeat."""
    raise ValueError("a wrong argument")


async def ok_async() -> int:
    return 1


async def fail_async() -> int:
    raise BrokenError("the dependency is broken")


async def blunder_async() -> int:
    raise ValueError("a wrong argument")


def passing(call: Callable[[], Any]) -> Loop:
    """Return the loop of calls that return 1."""

    def loop(calls: int) -> None:
        for _ in repeat(None, calls):
            call()

    assert call() == 1, "an admitted call must return what the function returned"
    return loop


def raising(call: Callable[[], Any], error: type[Exception]) -> Loop:
    """Return the loop of calls that raise ``error``."""

    def loop(calls: int) -> None:
        for _ in repeat(None, calls):
            try:
                call()
            except error:
                continue
            raise AssertionError("a call that must not succeed was let through")

    loop(1)
    return loop


def passing_async(call: Callable[[], Awaitable[Any]]) -> Loop:
    """Like ``passing``; all calls of a loop are awaited in one coroutine, one after the other."""

    async def many(calls: int) -> None:
        for _ in repeat(None, calls):
            await call()

    async def one() -> Any:
        return await call()

    assert run(one()) == 1, "an admitted call must return what the function returned"
    return lambda calls: run(many(calls))


def raising_async(call: Callable[[], Awaitable[Any]], error: type[Exception]) -> Loop:
    """Like ``raising``, for coroutines."""

    async def many(calls: int) -> None:
        for _ in repeat(None, calls):
            try:
                await call()
            except error:
                continue
            raise AssertionError("a call that must not succeed was let through")

    run(many(1))
    return lambda calls: run(many(calls))


def run(coroutine: Any) -> Any:
    """Run a coroutine on the one event loop of this process: clients keep their connections there."""
    return _events.run_until_complete(coroutine)


def trip(failing: Callable[[], Any], working: Callable[[], Any]) -> None:
    """Let a breaker see failures until it is open; raises ``AssertionError`` if it is not."""
    for _ in range(TRIPPING):
        with contextlib.suppress(Exception):  # the library's own errors and ours alike
            failing()
    try:
        working()
    except Exception:
        return
    raise AssertionError(f"still closed after {TRIPPING} failures in a row")
