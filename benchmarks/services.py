"""The servers of one run: PostgreSQL, Valkey and the stub broker, ours alone, in a scratch folder.

PostgreSQL and Valkey are configured as on the product's single machine (fsync and
synchronous_commit on); Valkey persists nothing unless ``appendonly`` is asked for.
Start, crash and stop from the main thread: a child dies with the thread that started it.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import psycopg

from config.stack import postgres
from config.stack.launch import Account, child_setup, unprivileged_account
from config.stack.ports import take_block
from config.stack.valkey import Valkey

REPOSITORY = Path(__file__).resolve().parent.parent
_START_SECONDS = 30.0


class ServiceError(Exception):
    """A server of the run did not start or ended early."""


class Services:
    """``with Services() as services``: the servers run inside the block.

    Attributes:
        folder: Scratch folder, removed at the end; logs are in it.
        postgres_url, redis_url, broker_url: Where the servers listen, on 127.0.0.1.
        spare_ports: Ports on 127.0.0.1 that are free for the contender's own servers.
    """

    def __init__(self, *, appendonly: bool = False, latency_ms: float = 0.0) -> None:
        self.appendonly = appendonly
        self.latency_ms = latency_ms
        self.children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="stanchion-bench-"))
        self.ports = take_block()
        account = unprivileged_account()
        password = secrets.token_urlsafe(16)
        data = postgres.home_for(account, self.folder / "postgres")
        self.postgres = postgres.Postgres(data, self.ports.base, password, account)
        self.valkey = Valkey(self.folder / "valkey", self.ports.base + 1, password)
        self.postgres_url, self.redis_url = self.postgres.url, self.valkey.url
        self.broker_url = f"http://127.0.0.1:{self.ports.base + 2}"
        self.spare_ports = range(self.ports.base + 3, self.ports.base + 20)
        try:
            template = postgres.home_for(account, self.folder / "template")
            postgres.initialise(template, account)
            self.postgres.create_from(template)
            shutil.rmtree(template)
            self.start_postgres()
            self.start_redis()
            broker = [sys.executable, "-m", "benchmarks.stub_broker", str(self.ports.base + 2), str(self.latency_ms)]
            self.broker = self.spawn(broker, "broker.log")
            wait_for_port(self.ports.base + 2)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start_postgres(self) -> None:
        self.postgres.configure()
        setup = child_setup(self.postgres.account, signal.SIGQUIT)
        with (self.folder / "postgres.log").open("ab") as log:
            self.postgres_process = subprocess.Popen(
                self.postgres.argv,
                stdout=log,
                stderr=log,
                cwd="/",
                env=postgres.clean_environment(),
                preexec_fn=setup,
                start_new_session=True,
            )
        self.children.append(self.postgres_process)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.postgres_url).close()
                return
            if time.monotonic() > deadline or self.postgres_process.poll() is not None:
                raise ServiceError(f"PostgreSQL did not start: {tail(self.folder / 'postgres.log')}")
            time.sleep(0.05)

    def start_redis(self) -> None:
        self.valkey.configure()
        argv = [*self.valkey.argv, "--appendonly", "yes" if self.appendonly else "no"]
        self.redis_process = self.spawn(argv, "valkey.log")
        wait_for_port(self.valkey.port)

    def crash_postgres(self) -> None:
        """Stop PostgreSQL at once without a checkpoint, as a crash does, and start it again after half a second."""
        self.postgres_process.send_signal(signal.SIGQUIT)
        self.postgres_process.wait(_START_SECONDS)
        self.children.remove(self.postgres_process)
        time.sleep(0.5)
        self.start_postgres()

    def crash_redis(self) -> None:
        """kill -9 Valkey and start it again; without ``appendonly`` everything in it is gone."""
        self.kill_tree(self.redis_process)
        time.sleep(0.3)
        self.start_redis()

    def spawn(
        self, argv: Sequence[str], log: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a child in a session of its own; ``close`` stops it with everything it started."""
        with (self.folder / log).open("ab") as output:
            child = subprocess.Popen(
                argv,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), **(environment or {})},
                preexec_fn=child_setup(Account.SAME, signal.SIGTERM),
                start_new_session=True,
            )
        self.children.append(child)
        return child

    def kill_tree(self, child: subprocess.Popen[bytes]) -> None:
        """kill -9 a child of ours and all its descendants."""
        for process in (*_descendants(child), child):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        child.wait(_START_SECONDS)
        self.children.remove(child)

    def server_pids(self) -> list[int]:
        """The servers a contender makes work; the stub broker is not among them."""
        return [self.postgres_process.pid, self.redis_process.pid]

    def ask_broker(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.broker_url}{path}", timeout=10) as answer:
            return json.load(answer)

    def close(self) -> None:
        for child in reversed(self.children):
            stop_tree(child, signal.SIGQUIT if child is getattr(self, "postgres_process", None) else signal.SIGTERM)
        self.children.clear()
        self.ports.release()
        shutil.rmtree(self.postgres.data, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def stop_tree(
    child: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM, patience_seconds: float = 8.0
) -> None:
    """End a child of ours; what is left of its descendants then is killed."""
    if child.poll() is not None:
        return
    descendants = _descendants(child)
    child.send_signal(how)
    try:
        child.wait(patience_seconds)
    except subprocess.TimeoutExpired:
        descendants = _descendants(child)
        child.kill()
        child.wait(patience_seconds)
    for process in descendants:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _descendants(child: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = psutil.Process(child.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return found


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 0.3).close()
            return
        time.sleep(0.02)
    raise ServiceError(f"nothing listens on 127.0.0.1:{port}")


def tail(path: Path, size: int = 2000) -> str:
    return path.read_text(errors="replace")[-size:] if path.exists() else ""
