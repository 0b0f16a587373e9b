"""How late the machine itself is: a timer of 10 ms in a process of its own. ``python -m config.chaos.noise FILE``.

Each line of the file is a monotonic instant and the milliseconds by which the worst timer since the last line was late.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from config.stack.running import ROOT

TIMER_SECONDS = 0.01
LIMIT_MS = 20.0
"""An episode whose timers were later than this, while it was timed, says nothing about times."""
_WRITE_SECONDS = 0.1


def watch(path: Path) -> None:
    """Write until the process is ended."""
    with path.open("a", buffering=1) as file:
        while True:
            began, worst = time.monotonic(), 0.0
            while time.monotonic() - began < _WRITE_SECONDS:
                asked = time.monotonic()
                time.sleep(TIMER_SECONDS)
                worst = max(worst, time.monotonic() - asked - TIMER_SECONDS)
            file.write(f"{time.monotonic():.6f} {worst * 1000:.3f}\n")


@contextmanager
def noise_probe(path: Path) -> Iterator[Path]:
    """Run the probe beside the block."""
    with subprocess.Popen([sys.executable, "-m", "config.chaos.noise", str(path)], cwd=ROOT) as probe:
        try:
            yield path
        finally:
            probe.kill()


def read_noise(path: Path, since: float, until: float) -> list[tuple[float, float]]:
    """Return what was measured between two monotonic instants; a torn last line is left out."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        words = line.split()
        if len(words) == 2 and since <= float(words[0]) <= until:
            found.append((float(words[0]), float(words[1])))
    return found


def worst_ms(samples: Sequence[tuple[float, float]]) -> float:
    return max((late for _, late in samples), default=0.0)


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
