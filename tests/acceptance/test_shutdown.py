"""A worker that is told to stop under load: it finishes what it began and hands back the rest."""

import signal
import time
from datetime import UTC, datetime

from config.chaos.stack import BROKERS, Stack, is_alive, wait_until
from config.chaos.trial import Recovered, Strike, draws, run_trial


def test_a_worker_stops_softly_under_load(stack: Stack) -> None:
    name = "worker told to stop"
    for broker in BROKERS:
        stack.fault(broker, "latency", operation="submit", ms=1000)
    ended_after: list[float] = []

    def terminate() -> Recovered:
        children, main = stack.children("worker-orders"), stack.pid("worker-orders")
        began = time.monotonic()
        stack.instance.control.signal("worker-orders", signal.SIGTERM.name)
        wait_until(lambda: not any(is_alive(pid) for pid in (main, *children)), "the worker ended")
        ended_after.append(time.monotonic() - began)
        return lambda: stack.instance.control.process("worker-orders")["pid"] not in (None, main)

    began_at = datetime.now(UTC)
    strike = Strike(draws(name).uniform(0.3, 0.7), "SIGTERM to the order worker", terminate)
    trial = run_trial(stack, name, [strike])
    trial.require_clean()
    print(f"  the worker ended after {ended_after[0]:.2f} s")
    submits = stack.query(
        "SELECT attempt, crashes FROM reliability_job WHERE kind = 'orders.submit' AND created_at > %s", [began_at]
    )
    assert {tuple(row) for row in submits} == {(1, 0)}, "an attempt was spent, or a job was lost with its process"
