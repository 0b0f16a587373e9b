"""Command a running instance: the client of its control socket, and its state.

The protocol is one line of JSON each way, for example
``{"do": "stop", "name": "postgres", "signal": "SIGQUIT"}``.
"""

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONTROL_SOCKET = "control.sock"
STATE_FILE = "state.json"
_LONGEST_SOCKET_PATH = 100


class ControlError(Exception):
    """The supervisor refused a command, or is not there."""


@dataclass(frozen=True, slots=True)
class Control:
    """Commands for the supervisor of one instance directory. Each returns once it has taken effect."""

    directory: Path

    def state(self) -> dict[str, Any]:
        """Return ``state.json`` as it is now."""
        try:
            state: dict[str, Any] = json.loads((self.directory / STATE_FILE).read_text())
        except FileNotFoundError:
            raise ControlError(f"nothing runs in {self.directory}") from None
        return state

    def process(self, name: str) -> dict[str, Any]:
        """Return the entry of one process: state, pid, ready, restarts, started_at, exit_code."""
        found: dict[str, Any] = self.state()["processes"][name]
        return found

    def start(self, name: str) -> None:
        """Start a stopped process and wait until it is ready."""
        self.send(do="start", name=name)

    def stop(self, name: str, signal: str | None = None) -> None:
        """End a process, by default with its own stop signal, and keep it ended."""
        self.send(do="stop", name=name, signal=signal)

    def restart(self, name: str) -> None:
        """Stop, start and wait until ready."""
        self.send(do="restart", name=name)

    def signal(self, name: str, signal: str) -> None:
        """Send a signal, such as SIGSTOP, to the process itself."""
        self.send(do="signal", name=name, signal=signal)

    def kill(self, name: str) -> None:
        """SIGKILL a process, as a crash would; the supervisor restarts it. For drills."""
        self.send(do="kill", name=name)

    def wipe(self, name: str) -> None:
        """SIGKILL a process, DELETE ITS DATA and start it empty. For drills."""
        self.send(do="wipe", name=name)

    def shutdown(self) -> None:
        """Tell the supervisor to stop everything and end."""
        self.send(do="shutdown")

    def wait(self, name: str, condition: Callable[[dict[str, Any]], bool], timeout: float = 30.0) -> dict[str, Any]:
        """Return the entry of a process once it meets the condition."""
        deadline = time.monotonic() + timeout
        while not condition(entry := self.process(name)):
            if time.monotonic() > deadline:
                raise ControlError(f"{name} did not get there in {timeout} s: {entry}")
            time.sleep(0.01)
        return entry

    def send(self, **command: Any) -> dict[str, Any]:
        """Send one command and return the answer."""
        with socket.socket(socket.AF_UNIX) as connection, reachable_socket(self.directory) as path:
            try:
                connection.connect(path)
            except OSError as error:
                raise ControlError(f"no supervisor answers in {self.directory}") from error
            connection.sendall(json.dumps(command).encode() + b"\n")
            with connection.makefile() as lines:
                line = lines.readline()
        if not line:
            raise ControlError("the supervisor ended before it answered")
        answer: dict[str, Any] = json.loads(line)
        if not answer["ok"]:
            raise ControlError(answer["error"])
        return answer


@contextlib.contextmanager
def reachable_socket(directory: Path) -> Iterator[str]:
    """Yield a path of the control socket that fits into the 107 bytes a unix socket's address has."""
    path = directory / CONTROL_SOCKET
    if len(str(path)) <= _LONGEST_SOCKET_PATH:
        yield str(path)
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{CONTROL_SOCKET}"
    finally:
        os.close(descriptor)
