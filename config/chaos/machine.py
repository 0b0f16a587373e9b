"""What the machine was like while an episode ran: memory of the stack, load, and how busy all cores were."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from config.chaos.stack import descendants

_EVERY_SECONDS = 1.0
_PROC = Path("/proc")


@dataclass(slots=True)
class MachineState:
    """``memory_mb`` is what all processes of the stack held together, shared pages counted once: at first, at most.

    ``load`` is the highest one-minute load, ``busy`` the share of all cores that anybody used, from 0 to 1.
    """

    memory_first_mb: float = 0.0
    memory_mb: float = 0.0
    load: float = 0.0
    busy: float = 0.0

    def take(self, memory_mb: float, load: float, busy: float) -> None:
        self.memory_first_mb = self.memory_first_mb or memory_mb
        self.memory_mb = max(self.memory_mb, memory_mb)
        self.load = max(self.load, load)
        self.busy = busy


@contextmanager
def machine_watch(root: int) -> Iterator[MachineState]:
    """Yield the state that is kept up while the block runs; ``root`` is the process above all of the stack."""
    state, over, began = MachineState(), threading.Event(), _ticks()

    def look() -> None:
        state.take(memory_mb(root), os.getloadavg()[0], _share(began, _ticks()))

    def watch() -> None:
        look()
        while not over.wait(_EVERY_SECONDS):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        over.set()
        thread.join(5)


def memory_mb(root: int) -> float:
    """Return the memory of a process and all below it in MB: proportional shares, so that forks do not count twice."""
    return sum(_proportional_kb(pid) for pid in (root, *descendants(root))) / 1024


def _proportional_kb(pid: int) -> int:
    """Return the kilobytes of one process; 0 when it has ended or does not let us look."""
    with suppress(OSError, ValueError):
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def _ticks() -> tuple[int, int]:
    """Return the ticks of all cores so far: busy ones, and all."""
    numbers = [int(word) for word in (_PROC / "stat").read_text().splitlines()[0].split()[1:9]]
    return sum(numbers) - numbers[3] - numbers[4], sum(numbers)


def _share(since: tuple[int, int], until: tuple[int, int]) -> float:
    return (until[0] - since[0]) / max(1, until[1] - since[1])
