"""CPU seconds of process trees, noise of the machine, and the few statistics the tables show."""

import contextlib
import os
import statistics
import time
from collections.abc import Iterable, Sequence

import psutil


def own_cpu_seconds() -> float:
    """Return the CPU seconds of this process alone, without its children."""
    times = os.times()
    return times.user + times.system


def tree_cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU seconds of the trees under ``pids``, with children that ended and were reaped."""
    return sum(_spent(process) for process in process_trees(pids))


def tree_memory_mb(pids: Iterable[int]) -> float:
    """Return the memory of the trees under ``pids``; pages shared between processes count once."""
    total = 0
    for process in process_trees(pids):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            memory = process.memory_full_info()
            total += getattr(memory, "pss", memory.rss)
    return total / 2**20


class Noise:
    """The share of all cores that processes other than ours used since this object was made."""

    def __init__(self, ours: Sequence[int]) -> None:
        self.ours = ours
        self.began = time.monotonic(), machine_cpu_seconds(), tree_cpu_seconds(ours)

    def share(self) -> float:
        at, busy, own = self.began
        seconds = (time.monotonic() - at) * (os.cpu_count() or 1)
        foreign = (machine_cpu_seconds() - busy) - (tree_cpu_seconds(self.ours) - own)
        return max(0.0, foreign / seconds)


def wait_for_quiet(limit: float = 0.25, patience_seconds: float = 4.0) -> None:
    """Wait until the machine was nearly idle for half a second, or patience runs out."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        noise = Noise([])
        time.sleep(0.5)
        if noise.share() < limit:
            return


def machine_cpu_seconds() -> float:
    times = psutil.cpu_times()
    return sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of the values do not exceed."""
    ordered = sorted(values)
    rank = -int(-share * len(ordered) // 1)
    return ordered[max(0, min(len(ordered), rank) - 1)]


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Return ``median [min-max]``, or a dash where nothing was measured."""
    if not values:
        return "-"
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} [{min(values):.{digits}f}-{max(values):.{digits}f}]"


def process_trees(pids: Iterable[int]) -> list[psutil.Process]:
    """Return the processes under ``pids`` that are alive, each once."""
    found: dict[int, psutil.Process] = {}
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            found.update({process.pid: process for process in (root, *root.children(recursive=True))})
    return list(found.values())


def _spent(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def fixed_loop_ms() -> float:
    """Return how long a fixed loop of pure Python takes on this machine now, in ms: the quickest of five times."""
    return min(_loop_seconds() for _ in range(5)) * 1000


def _loop_seconds() -> float:
    began, total = time.perf_counter(), 0
    for number in range(200_000):
        total += number % 7
    return time.perf_counter() - began
