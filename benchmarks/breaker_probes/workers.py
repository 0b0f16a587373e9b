"""Processes that hold breakers, and the Redis they share. Instants are of the machine's monotonic clock."""

import contextlib
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.breaker_probes.subjects import Call, Limits, make
from benchmarks.resilience.workers import Store

_SPAWN = multiprocessing.get_context("spawn")


class Server(Store):
    """A Redis of our own that can be frozen and killed."""

    def freeze(self) -> None:
        self._child.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._child.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()


class LateError(Exception):
    """A worker did not answer within the patience of its caller."""


class Worker:
    """One process with breakers of one subject; a command is a method of ``_Duties``.

    ``tripped_at`` is shared among workers: the instant at which the caller in one of them got the error
    that opened the breaker, or 0.
    """

    def __init__(self, subject: str, url: str, tripped_at: Any = None) -> None:
        self._connection, other = _SPAWN.Pipe()
        shared = instant() if tripped_at is None else tripped_at  # an instant of 0 is false
        self.process = _SPAWN.Process(target=_serve, args=(subject, url, other, shared), daemon=True)
        self.process.start()
        other.close()

    def begin(self, command: str, *arguments: Any) -> None:
        self._connection.send((command, arguments))

    def result(self, patience_seconds: float = 60.0) -> Any:
        """Return what the command returned.

        Raises:
            LateError: no answer in time, or the process ended.
        """
        if not self._connection.poll(patience_seconds):
            raise LateError(f"no answer in {patience_seconds:.0f} s")
        try:
            return self._connection.recv()
        except EOFError as error:
            raise LateError("the worker ended") from error

    def do(self, command: str, *arguments: Any, patience_seconds: float = 60.0) -> Any:
        self.begin(command, *arguments)
        return self.result(patience_seconds)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


class _Duties:
    """What a worker can be asked to do, with the breaker called ``key``."""

    def __init__(self, subject: str, url: str, tripped_at: Any) -> None:
        self._subject, self._url, self._tripped_at = subject, url, tripped_at
        self._calls: dict[str, Call] = {}
        self._reached = 0

    def make(self, key: str, limits: Limits) -> None:
        self._calls[key] = make(self._subject, self._url, key, limits)

    def once(self, key: str) -> tuple[bool, float]:
        """Make one healthy call: whether it got through, and how long that took."""
        began = time.monotonic()
        return self._attempt(key, int), time.monotonic() - began

    def trip(self, key: str, times: int = 12) -> tuple[int, float]:
        """Make failing calls: how many of them got through, and seconds per call."""
        began, self._reached = time.monotonic(), 0
        ended = began
        for number in range(times):
            self._attempt(key, self._boom)
            if self._reached == number and not self._tripped_at.value:
                self._tripped_at.value = ended  # this call is the first that is refused here
            ended = time.monotonic()
        return self._reached, (time.monotonic() - began) / times

    def spin(self, key: str, patience_seconds: float, call_seconds: float) -> tuple[float, float, float]:
        """Wait for the error that opens it, then make call after call until one is refused.

        It makes no calls before: their success would count. Returns seconds since that error until the first
        refusal, until the last call that was let through began (0: none), and until this process saw the error
        in memory both share: before that it did not run, so nothing could be refused here.
        """
        fn = partial(time.sleep, call_seconds) if call_seconds else int
        deadline = time.monotonic() + patience_seconds
        while not self._tripped_at.value and time.monotonic() < deadline:
            fn()
        seen_at = began = time.monotonic()
        last_at = 0.0
        while self._attempt(key, fn) and began < deadline:
            last_at, began = began, time.monotonic()
        ended = time.monotonic()
        tripped_at = self._tripped_at.value or deadline - patience_seconds
        return ended - tripped_at, max(0.0, last_at - tripped_at), seen_at - tripped_at

    def probe(self, key: str, begin: float, end: float, stay_seconds: float) -> int:
        """Try until one call gets in, which stays inside: how many got in before ``end``."""
        entered: list[float] = []

        def inside() -> None:
            entered.append(time.monotonic())
            time.sleep(stay_seconds)

        _sleep_until(begin)
        while not entered and time.monotonic() < end:
            self._attempt(key, inside)
            time.sleep(0.01)
        return sum(at < end for at in entered)

    def enter_and_stay(self, key: str, patience_seconds: float) -> float:
        """Get one call in: when that was."""
        entered: list[float] = []
        deadline = time.monotonic() + patience_seconds
        while not entered and time.monotonic() < deadline:
            self._attempt(key, lambda: entered.append(time.monotonic()))
            time.sleep(0.02)
        return entered[0] if entered else 0.0

    def stay_for_ever(self, key: str, report: Callable[[Any], None]) -> None:
        """Get one call in, tell of it, and never come back."""

        def inside() -> None:
            report(time.monotonic())
            time.sleep(600)

        while True:
            self._attempt(key, inside)
            time.sleep(0.02)

    def _boom(self) -> None:
        self._reached += 1
        raise ConnectionError

    def _attempt(self, key: str, fn: Callable[[], Any]) -> bool:
        try:
            self._calls[key](fn)
        except Exception:  # every library refuses with an exception of its own
            return False
        return True


def _sleep_until(instant: float) -> None:
    time.sleep(max(0.0, instant - time.monotonic()))


def instant() -> Any:
    """Return an instant that workers share."""
    return _SPAWN.Value("d", 0.0, lock=False)


def _serve(subject: str, url: str, connection: Connection, tripped_at: Any) -> None:
    logging.disable(logging.CRITICAL)
    duties = _Duties(subject, url, tripped_at)
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            command, arguments = connection.recv()
            if command == "stay_for_ever":
                (key,) = arguments
                duties.stay_for_ever(key, connection.send)
            connection.send(getattr(duties, command)(*arguments))
    os._exit(0)  # threads of a library must not keep the process


def burn(count: int) -> list[Any]:
    """Start processes that keep ``count`` cores busy."""
    processes = [_SPAWN.Process(target=_burn, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    return processes


def _burn() -> None:
    while True:
        sum(range(100_000))
