"""A running instance as a context manager, for the demo, the benchmarks and the acceptance tests."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.stack.control import Control
from config.stack.instance import ENV_FILE, read_environment_file, remove
from config.stack.serve import Scope

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 180.0
STOP_SECONDS = 15.0
_POLL_SECONDS = 0.02
_COMMANDS = {Scope.STACK: "up", Scope.OBSERVED: "observe", Scope.SERVICES: "services"}
_REPORT_SECONDS = 2.0


class InstanceFailedError(Exception):
    """The instance did not come up; the message says which process and what it said last."""


@dataclass(frozen=True, slots=True)
class RunningInstance:
    """An instance under a supervisor in a process of its own.

    ``urls`` are ``web``, ``admin``, ``api``, ``flower``, ``simbroker-a`` and ``simbroker-b``;
    ``env`` is what ``instance.env`` holds, secrets included; ``supervisor`` is the supervisor's process.
    """

    directory: Path
    urls: dict[str, str]
    env: dict[str, str]
    control: Control
    supervisor: subprocess.Popen[str]

    def state(self) -> dict[str, Any]:
        """Return ``state.json`` as it is now."""
        return self.control.state()

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment for a further process beside the instance's own."""
        return {**os.environ, **self.env}


@contextlib.contextmanager
def running_instance(
    *,
    temporary: bool = True,
    quiet: bool = True,
    directory: Path | None = None,
    scope: Scope = Scope.STACK,
    without: Iterable[str] = (),
    keep: bool = False,
    environment: dict[str, str] | None = None,
    report: Callable[[str], object] | None = None,
    root: Path = ROOT,
) -> Iterator[RunningInstance]:
    """Start an instance, yield it once everything is ready, stop it at the end.

    Args:
        temporary: Delete the instance at the end, unless ``keep``.
        quiet: Show nothing on the terminal; ``logs`` in the directory has it all.
        directory: Where it lives; a new directory by default.
        scope: How much runs.
        without: Names of processes to leave out.
        keep: Keep a temporary directory, to look into it.
        environment: Variables to set for all of its processes.
        report: Receives a line every two seconds of waiting.
        root: The tree whose code runs; for an earlier release.

    Raises:
        InstanceFailedError: It did not come up.
    """
    place = directory or Path(tempfile.mkdtemp(prefix="stanchion-"))
    options = ["--directory", str(place), "--until-eof", *(f"--without={name}" for name in without)]
    options += ["--quiet"] if quiet else []
    argv = [sys.executable, "-m", "config.stack", _COMMANDS[scope], *options]
    with tempfile.TemporaryFile("w+") as errors:
        supervisor = subprocess.Popen(
            argv,
            cwd=root,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL if quiet else None,
            stderr=errors,
            text=True,
        )
        try:
            _wait_until_ready(Control(place), supervisor, errors, report)
            state = Control(place).state()
            env = read_environment_file(place / ENV_FILE)
            yield RunningInstance(place, state["urls"], env, Control(place), supervisor)
        finally:
            _stop(supervisor)
            if temporary and not keep:
                remove(place)


def _wait_until_ready(
    control: Control, supervisor: subprocess.Popen[str], errors: Any, report: Callable[[str], object] | None
) -> None:
    began = time.monotonic()
    next_report = began + _REPORT_SECONDS
    while True:
        state = control.state() if (control.directory / "state.json").exists() else {"supervisor_pid": None}
        if state["supervisor_pid"] == supervisor.pid and state["status"] == "running":
            return
        if supervisor.poll() is not None:
            errors.seek(0)
            raise InstanceFailedError(errors.read().strip() or f"the supervisor ended with {supervisor.returncode}")
        now = time.monotonic()
        if now - began > START_SECONDS:
            raise InstanceFailedError(f"not ready after {START_SECONDS:.0f} s: {_pending(state)}")
        if report and now > next_report:
            next_report = now + _REPORT_SECONDS
            report(f"{now - began:5.1f} s  waiting for {_pending(state)}")
        time.sleep(_POLL_SECONDS)


def _pending(state: dict[str, Any]) -> str:
    names = [name for name, entry in state.get("processes", {}).items() if not entry["ready"]]
    return ", ".join(names) or "the database to be prepared"


def _stop(supervisor: subprocess.Popen[str]) -> None:
    supervisor.terminate()
    with contextlib.suppress(BrokenPipeError):  # its end of the pipe closed first
        assert supervisor.stdin is not None
        supervisor.stdin.close()
    try:
        supervisor.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()
