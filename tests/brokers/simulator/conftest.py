import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.brokers.simulator.process import Simulator
from tests.patience import PATIENCE_SECONDS


@pytest.fixture(scope="module")
def shared_simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("simulator")).start()
    yield simulator
    simulator.stop()


@pytest.fixture
def simulator(shared_simulator: Simulator) -> Iterator[Simulator]:
    """A running simulator without faults, shared by the tests of a module."""
    yield shared_simulator
    shared_simulator.clear()


@pytest.fixture
def start_simulator(tmp_path: Path) -> Iterator[Callable[..., Simulator]]:
    """Start a simulator of one's own, on one data directory, as often as needed."""
    started: list[Simulator] = []

    def start(*arguments: str) -> Simulator:
        simulator = Simulator(tmp_path / "data", arguments).start()
        started.append(simulator)
        return simulator

    yield start
    for simulator in started:
        if simulator.process.poll() is None:
            simulator.kill()


@pytest.fixture
def eventually() -> Callable[..., object]:
    """Ask until the answer is truthy, and return it."""

    def ask(question: Callable[[], object]) -> object:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (answer := question()):
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.01)
        return answer

    return ask
