"""The load of the order benchmark: what one contender goes through, alone, on fresh servers."""

import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.measure import Noise, own_cpu_seconds, percentile, tree_cpu_seconds, tree_memory_mb, wait_for_quiet
from benchmarks.peers.contender import Contender
from benchmarks.services import Services

ACCEPT_THREADS = 4
PACED_PER_SECOND = 20
_TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Load:
    """How many orders each part takes."""

    fast: int = 1500
    slow: int = 750
    drain: int = 4000
    paced: int = 100
    slow_ms: int = 20


@dataclass(frozen=True, slots=True)
class Burst:
    """One part at full speed. CPU is in seconds per 1,000 orders; ``noise`` is the share of the machine others used."""

    orders_per_second: float
    accepted_per_second: float
    cpu_acceptor: float
    cpu_workers: float
    cpu_servers: float
    noise: float

    @property
    def cpu(self) -> float:
        return self.cpu_acceptor + self.cpu_workers + self.cpu_servers


class Run:
    """One contender under load. Numbers its orders from 1, without gaps."""

    def __init__(self, contender: Contender, services: Services) -> None:
        self.contender = contender
        self.services = services
        self.next_number = 1

    def measure(self, load: Load, report: Callable[[str], None]) -> dict[str, Any]:
        """Return every figure of this contender; the contender is started and not stopped."""
        report("warming up")
        self.burst(60)
        self.burst(200)
        idle = self.idle_cpu_share()
        report(f"{load.fast} orders, 0 ms")
        fast = self.burst(load.fast)
        report(f"{load.slow} orders, {load.slow_ms} ms")
        self.services.ask_broker(f"/latency/{load.slow_ms}")
        slow = self.burst(load.slow)
        report(f"drain of {load.drain} orders, {load.slow_ms} ms")
        slow_drain = self.drain(load.drain)
        self.services.ask_broker("/latency/0")
        report(f"{load.paced} orders at {PACED_PER_SECOND}/s")
        first = self.next_number
        paced = self.paced(load.paced)
        durable = self.contender.since_durable(range(first, self.next_number))
        report(f"drain of {load.drain} orders, 0 ms")
        drain = self.drain(load.drain)
        stats = self.services.ask_broker("/stats")
        return {
            "fast": {**asdict(fast), "cpu": fast.cpu},
            "slow": {**asdict(slow), "cpu": slow.cpu},
            "drain_per_second": drain,
            "slow_drain_per_second": slow_drain,
            "p50_ms": percentile(paced, 0.5),
            "p99_ms": percentile(paced, 0.99),
            "paced_ms": paced,
            "durable_ms": durable or paced,
            "idle_cpu_share": idle,
            "memory_mb": tree_memory_mb(self.contender.pids()),
            "orders": self.next_number - 1,
            "posts": stats["n"],
            "duplicates": stats["dupes"],
        }

    def burst(self, count: int) -> Burst:
        """Accept orders as fast as the acceptor can and wait until the last one is acknowledged."""
        numbers = self._take(count)
        wait_for_quiet(patience_seconds=2.0)
        noise, cpu = Noise([os.getpid(), *self.contender.pids()]), self._cpu()
        began = time.time()
        self._accept(numbers)
        accepted = time.time()
        done = self.contender.wait_done(numbers, _TIMEOUT_SECONDS)
        acceptor, workers, servers = (
            1000 * (after - before) / count for before, after in zip(cpu, self._cpu(), strict=True)
        )
        rate = count / (max(done.values()) - began)
        return Burst(rate, count / (accepted - began), acceptor, workers, servers, noise.share())

    def paced(self, count: int) -> list[float]:
        """Accept at fixed instants, whatever happened to earlier orders; return milliseconds to the recorded answer.

        The clock of an order starts at the instant planned for it, so a late start counts.
        """
        numbers = self._take(count)
        wait_for_quiet()
        began = time.time() + 0.1
        planned = {number: began + place / PACED_PER_SECOND for place, number in enumerate(numbers)}
        for number, instant in planned.items():
            time.sleep(max(0.0, instant - time.time()))
            self.contender.accept(range(number, number + 1))
        done = self.contender.wait_done(numbers, _TIMEOUT_SECONDS)
        return [1000 * (done[number] - instant) for number, instant in planned.items()]

    def drain(self, count: int) -> float:
        """Return orders per second of carrying out alone: all were accepted and enqueued beforehand."""
        numbers = self._take(count)
        self.contender.pause()
        try:
            self._accept(numbers)
            wait_for_quiet(patience_seconds=2.0)
            began = time.time()
        finally:
            self.contender.resume()
        done = self.contender.wait_done(numbers, _TIMEOUT_SECONDS)
        return count / (max(done.values()) - began)

    def idle_cpu_share(self, seconds: float = 2.0) -> float:
        """Return the share of one core that the waiting contender and its servers use."""
        before = sum(self._cpu()[1:])
        time.sleep(seconds)
        return (sum(self._cpu()[1:]) - before) / seconds

    def _take(self, count: int) -> range:
        numbers = range(self.next_number, self.next_number + count)
        self.next_number += count
        return numbers

    def _accept(self, numbers: range) -> None:
        chunks: queue.SimpleQueue[range] = queue.SimpleQueue()
        size = self.contender.batch
        for first in range(numbers.start, numbers.stop, size):
            chunks.put(range(first, min(first + size, numbers.stop)))
        errors: list[Exception] = []

        def accept_all() -> None:
            while not errors:
                try:
                    chunk = chunks.get_nowait()
                except queue.Empty:
                    return
                try:
                    self.contender.accept(chunk)
                except Exception as error:  # handed to the caller below
                    errors.append(error)

        threads = [threading.Thread(target=accept_all) for _ in range(ACCEPT_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def _cpu(self) -> tuple[float, float, float]:
        return (
            own_cpu_seconds(),
            tree_cpu_seconds(self.contender.pids()),
            tree_cpu_seconds(self.services.server_pids()),
        )
