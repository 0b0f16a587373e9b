"""Ten thousand orders wait for a dead broker: what the wait costs, and how they arrive once the broker is back."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.isolation.desk import Desk, DeskError
from benchmarks.measure import tree_cpu_seconds
from brokers.simulator.ledger import read_ledger

SLOT_SECONDS = 0.1
_SETTLED_SECONDS = 60.0
_DONE_SECONDS = 300.0
_PROCESSES = {"workers": "worker-orders", "postgres": "postgres", "sentinel": "sentinel"}
_NOT_WAITING = """
SELECT count(*) FROM reliability_job WHERE kind = 'orders.submit' AND state IN ('ready', 'running') AND waits_for = ''
"""
_WAITING = """
SELECT count(*), coalesce(max(attempt), 0) FROM reliability_job
WHERE kind = 'orders.submit' AND state = 'ready' AND waits_for <> ''
"""
_CHANGES = """
SELECT extract(epoch FROM at)::float, from_state, to_state, cause, is_local FROM reliability_circuittransition
WHERE circuit = 'sim-a:orders' AND extract(epoch FROM at) > %s ORDER BY at
"""
_REASONS = """
SELECT CASE WHEN run_at <= clock_timestamp() THEN 'due' ELSE 'later' END || ' ' || waits_for || ' ' || error_code,
    count(*)
FROM reliability_job WHERE kind = 'orders.submit' AND state = 'ready' GROUP BY 1 ORDER BY 2 DESC LIMIT 4
"""
_FREEZES = """
SELECT cause, extract(epoch FROM frozen_at)::float, extract(epoch FROM released_at)::float, reason FROM brokers_freeze
WHERE released_at IS NULL OR extract(epoch FROM released_at) > %s ORDER BY frozen_at
"""
_TRANSACTIONS = "SELECT xact_commit::float FROM pg_stat_database WHERE datname = current_database()"


def measure_recovery(desk: Desk, orders: int, idle_seconds: float) -> dict[str, Any]:
    """Return the cost of the wait, and the arrivals after the return of broker A.

    Raises:
        DeskError: the orders do not wait, or are not all acknowledged in time.
    """
    control = desk.instance.control
    idle = cost_per_second(desk, idle_seconds)
    control.stop("simbroker-a")
    desk.accept("recovery", "sim-a", orders)
    waiting, spent = _wait_until_waiting(desk, orders)
    wait = cost_per_second(desk, idle_seconds)
    returned_ns = time.monotonic_ns()
    control.start("simbroker-a")
    ready, ready_at = time.monotonic(), time.time()
    with _asking_why(desk, ready) as reasons:
        desk.wait_acknowledged("recovery", orders, _DONE_SECONDS)
    last = time.monotonic() - ready
    arrivals = [instant - ready for instant in desk.submits("a", returned_ns)]
    return {
        "orders": orders,
        "waiting": waiting,
        "attempts_spent_waiting": spent,
        "idle_per_second": idle,
        "waiting_per_second": wait,
        "all_acknowledged_seconds": round(last, 2),
        **describe_arrivals(arrivals, orders),
        "waiting_by_second": reasons,
        "circuit_changes": circuit_changes(desk, ready_at),
        "freezes": freezes(desk, ready_at),
        **_once_each(desk, orders),
    }


def describe_arrivals(arrivals: list[float], orders: int) -> dict[str, Any]:
    """Return when the first, the middle and the last order arrived, and orders per second in slots of 100 ms.

    The steady rate is that of the middle eight tenths of the orders; the peak is the fullest slot.

    Raises:
        ValueError: fewer than ten arrivals.
    """
    if len(arrivals) < 10:
        raise ValueError("a rate needs ten arrivals")
    ordered = sorted(arrivals)
    slots = Counter(int((instant - ordered[0]) / SLOT_SECONDS) for instant in ordered)
    low, high = len(ordered) // 10, len(ordered) * 9 // 10
    steady = (high - low) / (ordered[high] - ordered[low])
    peak = max(slots.values()) / SLOT_SECONDS
    return {
        "first_seconds": round(ordered[0], 2),
        "half_seconds": round(ordered[orders // 2 - 1] if len(ordered) >= orders // 2 else ordered[-1], 2),
        "last_seconds": round(ordered[-1], 2),
        "first_second": sum(instant - ordered[0] < 1.0 for instant in ordered),
        "peak_per_second": round(peak),
        "steady_per_second": round(steady),
        "peak_to_steady": round(peak / steady, 2),
        "per_100_ms": [slots[number] for number in range(max(slots) + 1)],
    }


@contextmanager
def _asking_why(desk: Desk, since: float) -> Iterator[list[str]]:
    """Note every second what the orders that are not sent yet wait for."""
    reasons: list[str] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(1.0):
            found = ", ".join(f"{count} {why.strip()}" for why, count in desk.query(_REASONS))
            reasons.append(f"{time.monotonic() - since:.1f} s: {found or 'nothing waits'}")

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield reasons
    finally:
        ended.set()
        asking.join()


def circuit_changes(desk: Desk, since: float) -> list[str]:
    """Return what the circuit of the returning broker did since then, with seconds: it says why arrivals paused."""
    return [
        f"{at - since:.2f} s: {before} to {after}, {cause}{', in one process' if is_local else ''}"
        for at, before, after, cause, is_local in desk.query(_CHANGES, [since])
    ]


def freezes(desk: Desk, since: float) -> list[str]:
    """Return the freezes that held orders back after that moment, with seconds."""
    return [
        f"{began - since:.1f} s to {'its end' if ended is None else f'{ended - since:.1f} s'}: {cause}, {reason}"
        for cause, began, ended, reason in desk.query(_FREEZES, [since])
    ]


def cost_per_second(desk: Desk, seconds: float) -> dict[str, float]:
    """Return the CPU seconds a second of the processes that could be busy, and committed transactions a second."""
    began, transactions = time.monotonic(), desk.query(_TRANSACTIONS)[0][0]
    before = {name: tree_cpu_seconds(desk.pids(prefix)) for name, prefix in _PROCESSES.items()}
    time.sleep(seconds)
    took = time.monotonic() - began
    cpu = {name: tree_cpu_seconds(desk.pids(prefix)) - before[name] for name, prefix in _PROCESSES.items()}
    committed = desk.query(_TRANSACTIONS)[0][0] - transactions
    return {
        **{f"{name}_cpu": round(spent / took, 3) for name, spent in cpu.items()},
        "transactions": round(committed / took, 1),
    }


def _wait_until_waiting(desk: Desk, orders: int) -> tuple[int, int]:
    deadline = time.monotonic() + _SETTLED_SECONDS
    while True:
        if desk.query(_NOT_WAITING)[0][0] == 0:
            waiting, spent = desk.query(_WAITING)[0]
            if waiting == orders:
                return waiting, spent
        if time.monotonic() > deadline:
            raise DeskError(f"{desk.query(_WAITING)[0][0]} of {orders} orders wait for the circuit")
        time.sleep(0.1)


def _once_each(desk: Desk, orders: int) -> dict[str, int]:
    """Compare our client order ids with the broker's own ledger."""
    rows = desk.query("SELECT client_order_id FROM brokers_order WHERE idempotency_key LIKE %s", ["recovery-%"])
    found = read_ledger(desk.instance.directory / "simbroker-a").orders_by_client_order_id
    placed = [len(found.get(row[0], ())) for row in rows]
    return {"lost": orders - sum(count > 0 for count in placed), "doubled": sum(count > 1 for count in placed)}
