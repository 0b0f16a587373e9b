"""The peers that queue over Redis: INSERT and COMMIT, then enqueue; a worker pool does the rest."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import psycopg

from benchmarks.measure import process_trees
from benchmarks.peers import order_job
from benchmarks.peers.contender import ContenderError
from benchmarks.services import Services, tail

Enqueue = Callable[[int], object]


class QueuePeer:
    """A contender made of one worker command and one way to enqueue an order number."""

    batch = 1

    def __init__(
        self,
        name: str,
        command: list[str],
        enqueue: Callable[[], Enqueue],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.command = command
        self.make_enqueue = enqueue
        self.environment = dict(environment or {})
        self.worker: subprocess.Popen[bytes] | None = None

    def start(self, services: Services) -> None:
        self.marks = services.folder / "marks"
        self.marks.mkdir()
        self.log = services.folder / "worker.log"
        environment = {
            "BENCH_POSTGRES_URL": services.postgres_url,
            "BENCH_REDIS_URL": services.redis_url,
            "BENCH_BROKER_URL": services.broker_url,
            "BENCH_MARKS": str(self.marks),
            **self.environment,
        }
        os.environ.update(environment)
        with psycopg.connect(services.postgres_url, autocommit=True) as connection:
            connection.execute(order_job.SCHEMA)
        self.worker = services.spawn(self.command, self.log.name, environment)
        self.enqueue = self.make_enqueue()

    def accept(self, numbers: range) -> None:
        for number in numbers:
            order_job.accept_row(number)
            self.enqueue(number)

    def wait_done(self, numbers: range, timeout_seconds: float) -> dict[int, float]:
        deadline = time.monotonic() + timeout_seconds
        before = numbers.start - 1  # numbers count from 1 without gaps, so all earlier ones are marked
        while _marked(self.marks) < before + len(numbers):
            if self.worker is None or self.worker.poll() is not None:
                raise ContenderError(f"the worker ended: {tail(self.log)}")
            if time.monotonic() > deadline:
                raise ContenderError(f"{_marked(self.marks)} of {before + len(numbers)} done: {tail(self.log)}")
            time.sleep(0.02)
        instants = _read_marks(self.marks)
        return {number: instants[number] for number in numbers}

    def pause(self) -> None:
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_all(signal.SIGCONT)

    def since_durable(self, numbers: range) -> list[float]:
        return []

    def pids(self) -> list[int]:
        return [self.worker.pid] if self.worker else []

    def stop(self) -> None:
        self.resume()  # the processes themselves end with the servers

    def _signal_all(self, number: signal.Signals) -> None:
        for process in process_trees(self.pids()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def celery_peer(name: str, *pool: str, environment: Mapping[str, str] | None = None) -> QueuePeer:
    def enqueue() -> Enqueue:
        from benchmarks.peers.celery_app import place

        return place.delay

    quiet = ("--without-gossip", "--without-mingle", "-l", "WARNING")
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.peers.celery_app", "worker", *quiet, *pool]
    return QueuePeer(name, command, enqueue, environment)


def dramatiq_peer(
    name: str, *, processes: int, threads: int, environment: Mapping[str, str] | None = None
) -> QueuePeer:
    def enqueue() -> Enqueue:
        from benchmarks.peers.dramatiq_app import place

        return place.send

    command = [sys.executable, "-m", "dramatiq", "benchmarks.peers.dramatiq_app"]
    return QueuePeer(name, [*command, "-p", str(processes), "-t", str(threads)], enqueue, environment)


def _marked(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir()) // order_job.MARK_SIZE


def _read_marks(folder: Path) -> dict[int, float]:
    """Return the first mark of each order; a later one is a second execution."""
    instants: dict[int, float] = {}
    for path in folder.iterdir():
        for line in path.read_text().splitlines():
            number, at = line.split()
            instants[int(number)] = min(float(at), instants.get(int(number), float(at)))
    return instants
