"""One supervised process: started, watched, restarted when it ends, stopped when told."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from config.stack.guardian import Guardian
from config.stack.launch import child_setup
from config.stack.spec import Kind, LogLine, ProcessSpec

ROOT = Path(__file__).resolve().parents[2]
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.1, 1.0
SETTLED_SECONDS = 10.0  # a process that ran this long starts again without a longer wait
STARTS_BEFORE_GIVING_UP = 5
_POLL_SECONDS = 0.05


class State(Enum):
    """Where a process is; ``ended`` is a one-shot that succeeded, ``failed`` one that did not."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    BACKOFF = "backoff"
    STOPPED = "stopped"
    ENDED = "ended"
    FAILED = "failed"


class Supervised:
    """Runs one ``ProcessSpec``. ``changed`` is called with it after every change of ``status``."""

    def __init__(
        self, spec: ProcessSpec, logs: Path, guardian: Guardian, changed: Callable[["Supervised"], None]
    ) -> None:
        self.spec = spec
        self.log = logs / f"{spec.name}.log"
        self.state = State.WAITING
        self.ready = asyncio.Event()
        self.gave_up = asyncio.Event()
        self.pid: int | None = None
        self.restarts = 0
        self._guardian = guardian
        self._changed = changed
        self._wanted = False
        self._loop: asyncio.Task[None] | None = None
        self._started_at: datetime | None = None
        self._exit_code: int | None = None
        self._failed_starts = 0

    def status(self) -> dict[str, Any]:
        return {
            "state": self.state.value,
            "pid": self.pid,
            "ready": self.ready.is_set(),
            "restarts": self.restarts,
            "started_at": self._started_at.isoformat() if self._started_at else None,
            "exit_code": self._exit_code,
        }

    def start(self) -> None:
        """Begin to keep the process running; nothing happens if that is so already."""
        self._wanted = True
        self._failed_starts = 0
        self.gave_up.clear()
        if self._loop is None or self._loop.done():
            self._loop = asyncio.create_task(self._keep_running())

    async def stop(self, number: signal.Signals | None = None) -> None:
        """End the process and keep it ended: a signal, then SIGKILL to its whole group when it takes too long."""
        self._wanted = False
        loop = self._loop
        if loop is not None and not loop.done():
            if self.pid is None:
                loop.cancel()
            else:
                self.send(number or self.spec.stop_signal)
            _, pending = await asyncio.wait({loop}, timeout=self.spec.stop_seconds)
            if pending:
                self.kill_group()
                await asyncio.wait({loop})
        self._set(State.STOPPED)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, not to its children."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill_group(self) -> None:
        if self.pid is not None:
            _kill_group(self.pid)

    def last_lines(self, count: int = 15) -> str:
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
        return ""

    async def _keep_running(self) -> None:
        delay = FIRST_DELAY_SECONDS
        while self._wanted:
            began = time.monotonic()
            await self._run_once()
            if self.spec.kind is Kind.ONE_SHOT:
                self._finish_one_shot()
                return
            if not self._wanted:
                return
            if time.monotonic() - began > SETTLED_SECONDS:
                delay = FIRST_DELAY_SECONDS
            self._set(State.BACKOFF)
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)
            self.restarts += 1

    async def _run_once(self) -> None:
        was_ready = False
        with self.log.open("ab") as log:
            offset = log.tell()
            try:
                process = await asyncio.create_subprocess_exec(
                    *self.spec.argv,
                    cwd=ROOT,
                    env=dict(self.spec.env),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=child_setup(self.spec.account, self.spec.death_signal),
                    start_new_session=True,
                )
            except (OSError, subprocess.SubprocessError) as error:
                log.write(f"cannot start {self.spec.argv[0]}: {error}\n".encode())
                self._record_end(-1, was_ready=False)
                return
        self.pid = process.pid
        self._guardian.add(process.pid, self.spec.death_signal)
        self._started_at = datetime.now(UTC)
        self._exit_code = None
        self._set(State.STARTING)
        becoming_ready = asyncio.create_task(self._become_ready(offset))
        try:
            exit_code = await process.wait()
        finally:
            was_ready = self.ready.is_set()
            becoming_ready.cancel()
            _kill_group(process.pid)
            self._guardian.remove(process.pid)
        self._record_end(exit_code, was_ready=was_ready)

    def _record_end(self, exit_code: int, *, was_ready: bool) -> None:
        self.pid = None
        self._exit_code = exit_code
        self.ready.clear()
        self._failed_starts = 0 if was_ready else self._failed_starts + 1
        if self._failed_starts >= STARTS_BEFORE_GIVING_UP:
            self.gave_up.set()

    def _finish_one_shot(self) -> None:
        if self._exit_code != 0:
            self._set(State.FAILED)
            self.gave_up.set()
            return
        if self.spec.on_done is not None:
            self.spec.on_done()
        self.ready.set()
        self._set(State.ENDED)

    async def _become_ready(self, offset: int) -> None:
        if self.spec.kind is Kind.ONE_SHOT:
            return
        ready = self.spec.ready
        if isinstance(ready, LogLine):
            await self._wait_for_line(ready, offset)
        elif ready is not None:
            while not await ready():  # noqa: ASYNC110  another process cannot set an event
                await asyncio.sleep(_POLL_SECONDS)
        self.ready.set()
        self._set(State.READY)

    async def _wait_for_line(self, wanted: LogLine, offset: int) -> None:
        """Wait for the line; a log level that hides it must not stop the stack, so the wait is bounded."""
        pattern = re.compile(wanted.pattern.encode())
        deadline = time.monotonic() + wanted.at_most_seconds
        while time.monotonic() < deadline:
            with self.log.open("rb") as log:
                log.seek(offset)
                if pattern.search(log.read()):
                    return
            await asyncio.sleep(2 * _POLL_SECONDS)

    def _set(self, state: State) -> None:
        self.state = state
        self._changed(self)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
