"""The processes of the families, and the Redis they share, for the length of one run."""

import json
import os
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from benchmarks.resilience.worker import URL_VARIABLE
from benchmarks.services import REPOSITORY, stop_tree, tail, wait_for_port
from config.stack.launch import Account, child_setup
from config.stack.ports import take_block
from config.stack.valkey import Valkey

_PATIENCE_SECONDS = 60.0


class WorkerError(Exception):
    """The process of a family ended or did not answer in time."""


class Store:
    """``with Store() as store``: a Valkey of our own on 127.0.0.1 that keeps no file."""

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="stanchion-bench-"))
        self._ports = take_block()
        server = Valkey(self.folder / "valkey", self._ports.base, secrets.token_urlsafe(16))
        server.configure()
        self.url = server.url
        self._child = spawn([*server.argv, "--appendonly", "no"], self.folder / "valkey.log")
        try:
            wait_for_port(server.port)
            self.version = str(redis.Redis.from_url(self.url).info("server").get("valkey_version", "unknown"))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stop_tree(self._child)
        self._ports.release()
        shutil.rmtree(self.folder, ignore_errors=True)


class Worker:
    """The process of one family; it ends when its input does, and dies with the thread that made it.

    Raises:
        WorkerError: it did not come up; the message says why.
    """

    def __init__(self, family: str, store: Store) -> None:
        self.family = family
        self._log = store.folder / f"{family}.log"
        argv = [sys.executable, "-m", "benchmarks.resilience.worker", family]
        self._child = spawn(argv, self._log, {URL_VARIABLE: store.url, "PYTHONPATH": str(REPOSITORY)}, is_asked=True)
        self.cases: list[tuple[str, str, str]] = [tuple(case) for case in self._receive()]

    def measure(self, number: int, seconds: float) -> dict[str, Any]:
        """Return the figures of one turn of a case, or its ``error``.

        Raises:
            WorkerError: no answer; the process was ended.
        """
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps([number, seconds]).encode() + b"\n")
            self._child.stdin.flush()
        except BrokenPipeError as error:
            raise WorkerError(f"ended: {tail(self._log, 300)}") from error
        answer: dict[str, Any] = self._receive()
        return answer

    def close(self) -> None:
        stop_tree(self._child, patience_seconds=2.0)

    def _receive(self) -> Any:
        assert self._child.stdout is not None
        with selectors.DefaultSelector() as ready:
            ready.register(self._child.stdout, selectors.EVENT_READ)
            line = self._child.stdout.readline() if ready.select(_PATIENCE_SECONDS) else b"late"
        if line == b"late":
            self.close()
            raise WorkerError(f"no answer in {_PATIENCE_SECONDS:.0f} s")
        if not line:
            self.close()
            raise WorkerError(f"ended: {tail(self._log, 300)}")
        return json.loads(line)


def spawn(
    argv: list[str], log: Path, environment: dict[str, str] | None = None, *, is_asked: bool = False
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own; ``is_asked``: its input and output are pipes to us."""
    pipe = subprocess.PIPE if is_asked else subprocess.DEVNULL
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            stdin=pipe,
            stdout=pipe if is_asked else output,
            stderr=output,
            cwd=REPOSITORY,
            env={**os.environ, **(environment or {})},
            preexec_fn=child_setup(Account.SAME, signal.SIGTERM),
            start_new_session=True,
        )
