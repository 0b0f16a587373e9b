"""Throughput and latency at broker B while broker A is well, hangs, or hangs with no circuit to stop the calls."""

import asyncio
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.isolation.desk import Desk, DeskError, make_circuits_known, order_for
from benchmarks.measure import percentile

PHASES = ("healthy", "hanging", "hanging_no_circuit")
PINNED = ("sim-a:orders", "sim-a:look_ups")
FLOW_PER_SECOND = 20.0
_DONE_SECONDS = 120.0


class Flow(threading.Thread):
    """Orders for broker A at a steady rate, whether or not it answers."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(daemon=True)
        self.desk, self.key = desk, f"flow-{secrets.token_hex(3)}"
        self.count = 0
        self.error: Exception | None = None
        self._over = threading.Event()

    def run(self) -> None:
        try:
            asyncio.run(self._send())
        except Exception as error:  # raised again by whoever ends it
            self.error = error

    async def _send(self) -> None:
        began = time.monotonic()
        async with self.desk.client() as client:
            while not self._over.is_set():
                await client.submit(f"{self.key}-{self.count}", order_for("sim-a"))
                self.count += 1
                await asyncio.sleep(max(0.0, began + self.count / FLOW_PER_SECOND - time.monotonic()))

    def end(self) -> None:
        self._over.set()
        self.join()
        if self.error is not None:
            raise self.error


def measure_round(desk: Desk, number: int, orders: int, steady_seconds: float) -> list[dict[str, Any]]:
    """Measure each phase once, in an order that changes with the round."""
    shift = number % len(PHASES)
    return [
        {"round": number, "phase": phase, **measure_phase(desk, phase, orders, steady_seconds)}
        for phase in (*PHASES[shift:], *PHASES[:shift])
    ]


def measure_phase(desk: Desk, phase: str, orders: int, steady_seconds: float) -> dict[str, Any]:
    """Return orders/s from first acceptance to last acknowledgement, and the waits at a steady 50 orders/s."""
    with broker_a(desk, phase) as flow:
        began_ns = time.monotonic_ns()
        key = f"drain-{secrets.token_hex(3)}"
        desk.accept(key, "sim-b", orders)
        took = desk.wait_acknowledged(key, orders, _DONE_SECONDS)
        key = f"steady-{secrets.token_hex(3)}"
        asyncio.run(_steady(desk, key, 50.0, steady_seconds))
        desk.wait_acknowledged(key, round(50.0 * steady_seconds), _DONE_SECONDS)
        waits = desk.waits_ms(key)
        calls = len(desk.submits("a", began_ns))
        unanswered = sum(wait is None for wait in desk.waits_ms(flow.key))
    desk.wait_acknowledged(flow.key, flow.count, _DONE_SECONDS)
    return {
        "orders_per_second": round(orders / took, 1),
        "steady_p50_ms": round(percentile(waits, 0.5), 1),
        "steady_p99_ms": round(percentile(waits, 0.99), 1),
        "calls_to_a": calls,
        "orders_waiting_for_a": unanswered,
    }


@contextmanager
def broker_a(desk: Desk, phase: str) -> Iterator[Flow]:
    """Put broker A into the state of ``phase`` with orders for it flowing in; well again at the end."""
    if phase == "hanging_no_circuit":
        for circuit in PINNED:
            desk.pin(circuit, "disabled")
    if phase != "healthy":
        desk.fault("a", "hang", applied=False)
    flow = Flow(desk)
    flow.start()
    time.sleep(1.0 if phase == "healthy" else 3.0)  # calls that hang pile up, and keep piling up while B is measured
    try:
        yield flow
    finally:
        desk.clear_faults("a")
        flow.end()
        if phase == "hanging_no_circuit":
            for circuit in PINNED:
                desk.unpin(circuit)


async def _steady(desk: Desk, key: str, rate: float, seconds: float) -> None:
    count = round(rate * seconds)
    async with desk.client() as client, asyncio.TaskGroup() as group:
        began = time.monotonic()
        for number in range(count):
            group.create_task(client.submit(f"{key}-{number}", order_for("sim-b")))
            await asyncio.sleep(max(0.0, began + (number + 1) / rate - time.monotonic()))


def prepare(desk: Desk) -> None:
    """Make the circuits of broker A known, so that they can be pinned."""
    make_circuits_known(desk)
    if desk.submits("a", 0) == []:
        raise DeskError("broker A was sent nothing")
