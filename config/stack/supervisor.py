"""Runs the processes of one instance: ordered start, restart, ordered stop, and a socket to command it.

Nothing outlives it: children carry a death signal, and a guardian ends their process groups if the
supervisor itself is killed.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from config.stack.control import CONTROL_SOCKET, STATE_FILE, reachable_socket
from config.stack.guardian import Guardian
from config.stack.spec import ProcessSpec
from config.stack.supervised import State, Supervised

READY_SECONDS = 120.0
_LARGEST_COMMAND_BYTES = 65_536


class StartError(Exception):
    """A process did not come up; the message ends with what it said last."""


class Supervisor:
    """Everything that runs for one instance.

    Args:
        directory: The instance's directory: logs, ``state.json`` and ``control.sock`` go there.
        specs: The processes.
        facts: Further entries of ``state.json``, such as addresses and ports. No secrets.
        say: Receives one line for each process that became ready or ended.
    """

    def __init__(
        self, directory: Path, specs: Iterable[ProcessSpec], facts: dict[str, Any], say: Callable[[str], None]
    ) -> None:
        self.directory = directory
        self.status = "starting"
        self.stopping = asyncio.Event()
        self.error: str | None = None
        self._facts = facts
        self._say = say
        self._guardian = Guardian()
        self._signals_seen = 0
        logs = directory / "logs"
        logs.mkdir(mode=0o700, exist_ok=True)
        expanded = [one for spec in specs for one in spec.expanded()]
        self.processes = {spec.name: Supervised(spec, logs, self._guardian, self._changed) for spec in expanded}
        self._after = {spec.name: self._names(spec.after) for spec in expanded}

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Start everything, call ``on_ready``, and stay until told to stop.

        Raises:
            StartError: a process did not come up; everything has been stopped.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)
        server = await asyncio.start_unix_server(self._serve, sock=self._bind(), limit=_LARGEST_COMMAND_BYTES)
        try:
            await self._start_all()
            if not self.stopping.is_set():
                self._set_status("running")
                on_ready()
                await self.stopping.wait()
        except StartError as error:
            self.error = str(error)
            raise
        finally:
            self._set_status("stopping")
            server.close()
            await self._stop_all()
            self._guardian.close()
            self._socket_file.unlink(missing_ok=True)
            self._set_status("failed" if self.error else "stopped")

    def write_state(self) -> None:
        """Rewrite ``state.json`` in one step, so that a reader never sees half of it."""
        state = {
            "status": self.status,
            "error": self.error,
            "supervisor_pid": os.getpid(),
            "directory": str(self.directory),
            **self._facts,
            "processes": {name: process.status() for name, process in self.processes.items()},
        }
        path = self.directory / STATE_FILE
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(state, indent=1))
        temporary.replace(path)

    def _changed(self, process: Supervised) -> None:
        if process.state in (State.READY, State.ENDED, State.BACKOFF, State.FAILED):
            self._say(f"{process.spec.name}: {process.state.value}")
        self.write_state()

    @property
    def _socket_file(self) -> Path:
        return self.directory / CONTROL_SOCKET

    def _bind(self) -> socket.socket:
        self._socket_file.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        with reachable_socket(self.directory) as path:
            listener.bind(path)
        self._socket_file.chmod(0o600)
        return listener

    # Start and stop

    def _names(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Return the processes meant by names in ``after``; those that do not run here are left out."""
        return tuple(name for name in self.processes for base in wanted if name == base or _numbered(name, base))

    async def _start_all(self) -> None:
        async def start() -> None:
            async with asyncio.TaskGroup() as group:
                for name in self.processes:
                    group.create_task(self._start_when_due(name))

        self.write_state()
        starting = asyncio.create_task(start())
        told_to_stop = asyncio.create_task(self.stopping.wait())
        await asyncio.wait({starting, told_to_stop}, return_when=asyncio.FIRST_COMPLETED)
        told_to_stop.cancel()
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
            return
        failure = starting.exception()
        if isinstance(failure, BaseExceptionGroup):
            raise failure.exceptions[0]

    async def _start_when_due(self, name: str) -> None:
        for other in self._after[name]:
            await self.processes[other].ready.wait()
        await self._start_and_wait(self.processes[name])

    async def _start_and_wait(self, process: Supervised) -> None:
        process.start()
        ready = asyncio.create_task(process.ready.wait())
        gave_up = asyncio.create_task(process.gave_up.wait())
        await asyncio.wait({ready, gave_up}, timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        came_up = ready.done()
        ready.cancel()
        gave_up.cancel()
        if not came_up:
            raise StartError(f"{process.spec.name} did not come up. Its last lines:\n{process.last_lines()}")

    async def _stop_all(self) -> None:
        stopped = {name: asyncio.Event() for name in self.processes}

        async def stop(name: str) -> None:
            for other, after in self._after.items():
                if name in after:
                    await stopped[other].wait()
            await self.processes[name].stop()
            stopped[name].set()

        await asyncio.gather(*(stop(name) for name in self.processes))

    def _on_signal(self) -> None:
        """Stop; at the second signal kill what still runs."""
        self._signals_seen += 1
        self.stopping.set()
        if self._signals_seen > 1:
            for process in self.processes.values():
                process.kill_group()

    def _set_status(self, status: str) -> None:
        self.status = status
        self.write_state()

    # Commands

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = {"ok": True, **await self._obey(json.loads(await reader.readline()))}
        except (ValueError, KeyError, TypeError, AttributeError, StartError) as error:
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        try:
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except ConnectionError:
            return  # whoever asked has gone; the command was carried out
        finally:
            writer.close()

    async def _obey(self, command: dict[str, Any]) -> dict[str, Any]:
        what = command["do"]
        if what == "shutdown":
            self.stopping.set()
            return {}
        process = self.processes[command["name"]]
        number = signal.Signals[command["signal"]] if command.get("signal") else None
        if what == "stop":
            await process.stop(number)
        elif what == "start":
            await self._start_and_wait(process)
        elif what == "restart":
            await process.stop(number)
            await self._start_and_wait(process)
        elif what == "kill":
            process.send(signal.SIGKILL)
        elif what == "signal":
            process.send(signal.Signals[command["signal"]])
        elif what == "wipe":
            await self._wipe(process)
        else:
            raise ValueError(f"unknown command {what!r}")
        return {"process": process.status()}

    async def _wipe(self, process: Supervised) -> None:
        """Kill a process, delete its data and start it empty. For drills: the data is gone for good."""
        if not process.spec.wipe:
            raise ValueError(f"{process.spec.name} has no data that may be wiped")
        await process.stop(signal.SIGKILL)
        for path in process.spec.wipe:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        await self._start_and_wait(process)


def _numbered(name: str, base: str) -> bool:
    return name.startswith(f"{base}-") and name.removeprefix(f"{base}-").isdigit()
