"""Processes that share circuits: each is a runtime of its own, on the Valkey of the tests."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from uuid import uuid4

import pytest
import redis

from reliability.conf import get_conf
from reliability.services.circuits.circuit import Circuit
from reliability.services.circuits.runtime import Loader, Runtime
from reliability.services.circuits.store import INDEX, connect, keys
from reliability.services.circuits.values import CircuitOpenError


def eventually(condition: Callable[[], object], seconds: float = 5.0) -> bool:
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
