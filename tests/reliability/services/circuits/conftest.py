"""Processes that share circuits: each is a runtime of its own, on the Valkey of the tests."""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from config.stack.launch import Account, child_setup
from config.stack.valkey import program
from reliability.conf import get_conf
from reliability.services.circuits.circuit import Circuit
from reliability.services.circuits.runtime import Loader, Runtime
from reliability.services.circuits.store import INDEX, connect, keys
from reliability.services.circuits.values import CircuitOpenError


def eventually(condition: Callable[[], object], seconds: float = 30.0) -> bool:
    """Wait until a condition holds; False if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def is_refused(circuit: Circuit) -> bool:
    """Ask a circuit and give the permit back unused."""
    try:
        circuit.admit().release()
    except CircuitOpenError:
        return True
    return False


def fail(circuit: Circuit, times: int = 1) -> None:
    """Let calls fail until they are refused."""
    for _ in range(times):
        with suppress(CircuitOpenError):
            circuit.admit().fail(0.01)


@pytest.fixture
def store() -> Iterator["redis.Redis"]:
    client = connect(get_conf().redis_url, 5.0)
    yield client
    client.close()


@pytest.fixture
def name(store: "redis.Redis") -> Iterator[str]:
    """A circuit of this test alone."""
    name = f"sim-{uuid4().hex[:8]}:orders"
    yield name
    store.delete(*keys(name))
    store.srem(INDEX, name)


@pytest.fixture
def process() -> Iterator[Callable[..., Runtime]]:
    """Returns a process each time it is called."""
    running: list[Runtime] = []

    def start(url: str | None = None, loader: Loader | None = None, host: str = "here") -> Runtime:
        running.append(Runtime(get_conf().redis_url if url is None else url, lambda: loader, host))
        return running[-1]

    yield start
    for runtime in running:
        runtime.stop()


class Server:
    """A Valkey of this test alone, which can be killed, frozen and started again empty."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "v.sock"
        self.url = f"unix://{self._socket}"
        self.start()

    def start(self) -> None:
        argv = [str(program()), "--port", "0", "--unixsocket", str(self._socket), "--save", "", "--loglevel", "warning"]
        setup = child_setup(Account.SAME, signal.SIGKILL)
        self._child = subprocess.Popen(argv, cwd=self._socket.parent, preexec_fn=setup, start_new_session=True)
        with connect(self.url, 5.0) as client:
            assert eventually(lambda: self._answers(client)), "the server did not start"

    @staticmethod
    def _answers(client: "redis.Redis") -> bool:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()

    def freeze(self) -> None:
        self._child.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._child.send_signal(signal.SIGCONT)


@pytest.fixture
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="stanchion-circuits-"))  # a socket's path must be short
    running = Server(folder)
    yield running
    running.kill()
    shutil.rmtree(folder)
