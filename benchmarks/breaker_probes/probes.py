"""The six probes. Each returns figures by name; times are in ms unless a name says otherwise."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.breaker_probes.subjects import Limits
from benchmarks.breaker_probes.workers import LateError, Server, Worker, burn, instant
from benchmarks.measure import percentile

PERMITS = 3
LEASE_SECONDS = 2.0
PATIENCE_SECONDS = 12.0
_COOLDOWN_SECONDS = 3.0
_NEWS_SECONDS = 1.5  # after which a peer that polls once a second knows that it is open
_SPIN_SECONDS = 5.0
_NEVER = None


@contextlib.contextmanager
def workers(subject: str, url: str, count: int, tripped_at: Any = None) -> Iterator[list[Worker]]:
    """Start workers that know no breaker yet; they are killed at the end."""
    started = [Worker(subject, url, tripped_at) for _ in range(count)]
    try:
        yield started
    finally:
        for worker in started:
            worker.kill()


def spread(subject: str, trials: int) -> dict[str, Any]:
    """From the error that opens it, as its caller gets it, to the first refusal elsewhere, where calls take 1 ms."""
    return _spread(subject, trials, 0, 0.001)


def spread_busy(subject: str, trials: int) -> dict[str, Any]:
    """The same with calls that take no time, while as many other programs as there are cores use all they can get."""
    return _spread(subject, trials, os.cpu_count() or 1, 0.0)


def _spread(subject: str, trials: int, busy: int, call_seconds: float) -> dict[str, Any]:
    waits: list[float] = []
    admitted: list[float] = []
    asleep: list[float] = []
    burners, tripped_at = burn(busy), instant()
    try:
        with Server() as server, workers(subject, server.url, 2, tripped_at) as (one, other):
            for trial in range(trials):
                key = f"spread{trial}"
                for worker in (one, other):
                    worker.do("make", key, Limits())
                    worker.do("once", key)
                tripped_at.value = 0.0
                other.begin("spin", key, _SPIN_SECONDS + 1.0, call_seconds)
                time.sleep(0.1)
                one.do("trip", key)
                seconds = [max(0.0, one_of_them) * 1000 for one_of_them in other.result()]
                for found, value in zip((waits, admitted, asleep), seconds, strict=True):
                    found.append(value)
    finally:
        for burner in burners:
            burner.kill()
            burner.join()
    return {
        "trials": trials,
        "p50": percentile(waits, 0.5),
        "p99": percentile(waits, 0.99),
        "max": max(waits),
        **{f"last_admitted_{name}": value for name, value in _three(admitted).items()},
        **{f"not_running_{name}": value for name, value in _three(asleep).items()},
        "never": sum(wait >= _SPIN_SECONDS * 1000 for wait in waits),
    }


def _three(values: list[float]) -> dict[str, float]:
    return {"p50": percentile(values, 0.5), "p99": percentile(values, 0.99), "max": max(values)}


def cold(subject: str, trials: int) -> dict[str, Any]:
    """Eight fresh processes meet an open breaker: how many of their first calls get through."""
    through = []
    with Server() as server:
        for trial in range(trials):
            key = f"cold{trial}"
            with workers(subject, server.url, 9) as (first, *others):
                first.do("make", key, Limits())
                first.do("trip", key)
                for worker in others:
                    worker.do("make", key, Limits())
                for worker in others:
                    worker.begin("once", key)
                through.append(sum(worker.result()[0] for worker in others))
    return {"trials": trials, "through": max(through)}


def probes(subject: str, trials: int) -> dict[str, Any]:
    """Eight warm processes rush into half-open at once: how many are inside at the same time."""
    inside = []
    limits = Limits(cooldown=_COOLDOWN_SECONDS, permits=PERMITS, lease=15.0)
    with Server() as server, workers(subject, server.url, 8) as all_of_them:
        for trial in range(trials):
            key = f"probes{trial}"
            for worker in all_of_them:
                worker.do("make", key, limits)
                worker.do("once", key)
            all_of_them[0].do("trip", key)
            begin = time.monotonic() + _COOLDOWN_SECONDS + 0.05
            time.sleep(_NEWS_SECONDS)
            for worker in all_of_them[1:]:
                worker.do("once", key)
            for worker in all_of_them:
                worker.begin("probe", key, begin, begin + 1.0, 1.5)
            inside.append(sum(worker.result() for worker in all_of_them))
    return {"trials": trials, "inside": max(inside), "least": min(inside)}


def killed(subject: str, trials: int) -> dict[str, Any]:
    """The only prober is killed with SIGKILL: seconds until another process may probe."""
    limits = Limits(cooldown=_COOLDOWN_SECONDS, permits=1, lease=LEASE_SECONDS)
    waits: list[float | None] = []
    with Server() as server:
        for trial in range(trials):
            key = f"killed{trial}"
            with workers(subject, server.url, 2) as (prober, other):
                for worker in (prober, other):
                    worker.do("make", key, limits)
                    worker.do("once", key)
                other.do("trip", key)
                time.sleep(_NEWS_SECONDS)
                prober.do("once", key)
                prober.begin("stay_for_ever", key)
                prober.result(PATIENCE_SECONDS)
                prober.kill()
                died_at = time.monotonic()
                entered_at = other.do("enter_and_stay", key, PATIENCE_SECONDS)
                waits.append(entered_at - died_at if entered_at else _NEVER)
    found = [wait for wait in waits if wait is not None]
    return {"trials": trials, "seconds": max(found) if len(found) == len(waits) else None}


def frozen(subject: str, trials: int) -> dict[str, Any]:
    """Redis is stopped with SIGSTOP: how long one healthy call takes, and the ten failing ones after it."""
    healthy, failing = [], []
    for trial in range(trials):
        with Server() as server, workers(subject, server.url, 1) as (worker,):
            key = f"frozen{trial}"
            worker.do("make", key, Limits())
            worker.do("once", key)
            time.sleep(0.2)
            server.freeze()
            try:
                healthy.append(worker.do("once", key, patience_seconds=PATIENCE_SECONDS)[1])
                failing.append(worker.do("trip", key, 10, patience_seconds=PATIENCE_SECONDS)[1] * 10)
            except LateError:
                (healthy if len(healthy) <= len(failing) else failing).append(PATIENCE_SECONDS)
            finally:
                server.thaw()
    return {
        "trials": trials,
        "healthy": max(healthy) * 1000,
        "failing": max(failing) * 1000 if failing else None,
        "patience": PATIENCE_SECONDS * 1000,
    }


def dead(subject: str, trials: int) -> dict[str, Any]:
    """Redis is dead: how many of ten failing calls reach the broker."""
    reached, waits = [], []
    for trial in range(trials):
        with Server() as server, workers(subject, server.url, 1) as (worker,):
            key = f"dead{trial}"
            worker.do("make", key, Limits())
            worker.do("once", key)
            server.kill()
            time.sleep(0.3)
            try:
                count, seconds = worker.do("trip", key, 10, patience_seconds=150.0)
            except LateError:
                count, seconds = 10, 15.0
            reached.append(count)
            waits.append(seconds * 1000)
    return {"trials": trials, "reached": max(reached), "per_call": max(waits)}


PROBES: dict[str, Callable[[str, int], dict[str, Any]]] = {
    "spread": spread,
    "spread_busy": spread_busy,
    "cold": cold,
    "probes": probes,
    "killed": killed,
    "frozen": frozen,
    "dead": dead,
}
