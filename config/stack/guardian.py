"""The last net: when the supervisor is killed, end the process groups it left behind.

The death signal ends the supervisor's own children; their children (pool and web workers) would
stay. This program reads lines ``+<group> <signal>`` and ``-<group>`` from the supervisor; when
the pipe closes it signals the groups still listed, and kills what is left two seconds later.
It is started by its path, so it imports the standard library only.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

GRACE_SECONDS = 2.0


class Guardian:
    """The supervisor's end of the pipe."""

    def __init__(self) -> None:
        argv = [sys.executable, "-I", "-S", str(Path(__file__).resolve())]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True)

    def add(self, group: int, death_signal: signal.Signals) -> None:
        self._tell(f"+{group} {int(death_signal)}\n")

    def remove(self, group: int) -> None:
        self._tell(f"-{group}\n")

    def close(self) -> None:
        self._process.communicate()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # a killed guardian: the death signals remain
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()


def watch() -> None:
    """Follow the supervisor until it is gone, then end what it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, int] = {}
    for line in sys.stdin:
        if line.startswith("+"):
            group, number_text = line[1:].split()
            groups[int(group)] = int(number_text)
        else:
            groups.pop(int(line[1:]), None)
    for group, number_left in groups.items():
        _signal_group(group, number_left)
    deadline = time.monotonic() + GRACE_SECONDS
    while groups and time.monotonic() < deadline:
        groups = {group: number for group, number in groups.items() if _signal_group(group, 0)}
        time.sleep(0.02)
    for group in groups:
        _signal_group(group, signal.SIGKILL)


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    watch()
