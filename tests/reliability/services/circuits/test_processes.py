"""Real processes: a fork starts anew, and the module functions work from any of them."""

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
import redis

from reliability.core.breaker import BreakerSettings, BreakerState, PinnedState
from reliability.services import circuits
from reliability.services.circuits import CircuitOpenError, CircuitStatus
from reliability.services.circuits.registry import get_runtime
from tests.fakes import replaced_runtimes
from tests.reliability.services.circuits.conftest import eventually, fail, is_refused


@pytest.fixture(autouse=True)
def fresh_runtime() -> Iterator[None]:
    """The runtime of this process is of this test alone, and so are its threads."""
    replaced_runtimes.append(get_runtime())
    get_runtime.cache_clear()
    yield
    get_runtime().stop()
    get_runtime.cache_clear()


def status(name: str) -> CircuitStatus:
    (found,) = [one for one in circuits.list_statuses() if one.name == name]
    return found


def test_a_child_of_a_fork_asks_before_its_first_call(name: str) -> None:
    circuit = circuits.get_circuit(name)
    circuit.admit().succeed(0.01)
    reading, writing = os.pipe()
    go_reading, go_writing = os.pipe()
    child = os.fork()
    if child == 0:  # threads of the parent are gone here; only what is asked anew can be known
        code = 9
        with suppress(BaseException):
            os.read(go_reading, 1)
            code = 0 if is_refused(circuit) else 1
        os._exit(code)
    os.close(reading), os.close(writing)
    fail(circuit, 5)
    os.write(go_writing, b"x")
    _, ended = os.waitpid(child, 0)
    os.close(go_reading), os.close(go_writing)

    assert os.waitstatus_to_exitcode(ended) == 0
    assert circuit.state is BreakerState.OPEN, "the parent goes on as before"


def test_a_child_trips_the_circuit_of_its_parent(name: str) -> None:
    circuit = circuits.get_circuit(name)
    circuit.admit().succeed(0.01)
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            fail(circuit, 5)
        os._exit(0)
    os.waitpid(child, 0)

    assert eventually(lambda: is_refused(circuit))


def test_settings_take_effect_in_a_running_process_and_older_ones_do_not(name: str) -> None:
    circuit = circuits.get_circuit(name)
    circuit.admit()
    circuits.configure(name, BreakerSettings(failure_threshold=2), 7)
    assert eventually(lambda: circuit.settings.failure_threshold == 2)
    circuits.configure(name, BreakerSettings(failure_threshold=9), 6)
    fail(circuit, 2)

    assert circuit.state is BreakerState.OPEN
    assert (status(name).settings_version, status(name).settings.failure_threshold) == (7, 2)


def test_a_status_says_all_there_is_to_know(name: str) -> None:
    fail(circuits.get_circuit(name), 5)
    found = status(name)

    assert (found.state, found.version, found.is_shared) == (BreakerState.OPEN, 1, True)
    assert found.opened_at is not None
    assert 20 < (found.remaining_seconds or 0) <= 30
    assert (found.counts.failures, found.consecutive_failures, found.probes_in_flight) == (5, 5, 0)

    circuits.pin(name, PinnedState.DISABLED, 60, "ann", "a false alarm")
    pin = status(name).pin
    assert pin is not None
    assert (pin.state, pin.author, pin.reason) == (PinnedState.DISABLED, "ann", "a false alarm")
    assert pin.expires_at is not None

    circuits.unpin(name, "ann", "done")
    circuits.reset(name, "ann", "done")
    assert (status(name).state, status(name).pin) == (BreakerState.CLOSED, None)


def test_a_circuit_can_be_pinned_before_anybody_used_it(name: str) -> None:
    circuits.pin(name, PinnedState.FORCED_OPEN, None, "ann", "not yet")

    with pytest.raises(CircuitOpenError) as refusal:
        circuits.get_circuit(name).admit()
    assert refusal.value.remaining_seconds is None
    assert timedelta(seconds=circuits.get_circuit(name).wait_seconds()) == timedelta(minutes=1)
    assert status(name).remaining_seconds is None


def test_an_older_pin_does_not_replace_a_newer_decision(name: str) -> None:
    circuits.pin(name, PinnedState.FORCED_OPEN, None, "ann", "first", version=5)
    circuits.unpin(name, "ann", "second", version=6)
    circuits.pin(name, PinnedState.FORCED_OPEN, None, "bob", "late news of the first", version=5)

    assert status(name).pin is None


def test_people_are_told_when_the_others_could_not_be(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(url: str, timeout_seconds: float | None) -> "redis.Redis":
        return redis.Redis.from_url("redis://127.0.0.1:1")

    monkeypatch.setattr("reliability.services.circuits.control.connect", nowhere)

    with pytest.raises(circuits.StoreUnavailableError):
        circuits.reset(name)
    circuits.get_circuit(name).admit()
    (believed,) = circuits.list_statuses()
    assert (believed.name, believed.is_shared) == (name, False)


def test_a_pin_lasts_some_time(name: str) -> None:
    with pytest.raises(ValueError, match="longer"):
        circuits.pin(name, PinnedState.DISABLED, 0, "ann", "")
