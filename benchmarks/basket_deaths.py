"""How worker processes die under baskets: at a random moment, or at a system call drawn at random."""

import random
import re
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from config.chaos.faults.tracing import end_tracer, start_tracer, tracer_of
from config.chaos.stack import ORDER_WORKERS, Stack, is_alive, wait_until

# A pool process makes a few hundred calls for a basket: claims, calls of the broker, outcomes.
LATEST_CALL = 400
_CALL = re.compile(r"(\d+) +(\w+)\(")
_POLL_SECONDS = 0.02
_FLUSH_SECONDS = 30.0


def kill_at_a_moment(stack: Stack, chance: random.Random) -> str:
    """Kill a pool process, or a worker with all of them, wait until the pools are back, and return which it was."""
    worker = chance.choice(ORDER_WORKERS)
    whole = chance.random() < 0.2
    victim = chance.choice(_victims(stack, worker, whole=whole))
    stack.kill(victim)
    wait_until(lambda: not is_alive(victim), "the victim is dead")
    wait_for_workers(stack)
    return "worker" if whole else "pool process"


def wait_for_workers(stack: Stack) -> None:
    """Wait until both order workers have pools again."""
    wait_until(lambda: all(_processes(stack, name, whole=False) for name in ORDER_WORKERS), "the workers are back")


@dataclass(frozen=True, slots=True)
class DyingAtCall:
    """A pool process that is killed by strace when one of its threads begins its ``number``-th system call."""

    pid: int
    number: int
    tracer: subprocess.Popen[bytes]
    log: Path

    @classmethod
    @contextmanager
    def begin(cls, stack: Stack, chance: random.Random, number: int) -> Iterator["DyingAtCall"]:
        victim = chance.choice(_victims(stack, chance.choice(ORDER_WORKERS), whole=False))
        stack.killed[victim] = datetime.now(UTC)
        with tempfile.TemporaryDirectory() as directory:
            log = Path(directory) / "calls"
            tracer = start_tracer([victim], f"all:signal={signal.SIGKILL.name}:when={number}", str(log))
            try:
                wait_until(lambda: not is_alive(victim) or tracer_of(victim) != 0, "strace holds its victim")
                yield cls(victim, number, tracer, log)
            finally:
                end_tracer(tracer)

    def is_dead_within(self, seconds: float) -> bool:
        """Return whether it has died, waiting at most so long.

        Raises:
            AssertionError: it lives, and nothing traces it any more.
        """
        deadline = time.monotonic() + seconds
        while is_alive(self.pid):
            if self.tracer.poll() is not None and is_alive(self.pid):
                raise AssertionError("strace let go of its victim")
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def fatal_call(self) -> str:
        """Return the system call it died at: the last one of the thread that made the most."""
        self.tracer.wait(_FLUSH_SECONDS)  # with its last victim it ends, and has written all it saw
        calls: dict[str, list[str]] = defaultdict(list)
        for line in self.log.read_text(errors="replace").splitlines():
            found = _CALL.match(line)
            if found:
                calls[found[1]].append(found[2])
        return max(calls.values(), key=len, default=["none seen"])[-1]


def _victims(stack: Stack, worker: str, *, whole: bool) -> list[int]:
    found: list[int] = []

    def look() -> list[int]:
        found.extend(_processes(stack, worker, whole=whole))
        return found

    wait_until(look, "a victim is there")
    return found


def _processes(stack: Stack, worker: str, *, whole: bool) -> list[int]:
    """Return the worker's own process if it is alive, or its pool processes."""
    pid = stack.instance.control.process(worker)["pid"]
    if not isinstance(pid, int) or not is_alive(pid):
        return []
    return [pid] if whole else stack.children(worker)
