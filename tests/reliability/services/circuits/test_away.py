"""The store is dead, frozen, empty or back: calls go on, and so does protection."""

from collections.abc import Callable

import pytest

from reliability.core.breaker import BreakerSettings, BreakerState, PinnedState
from reliability.services.circuits import CircuitOpenError, CircuitTruth, Pin
from reliability.services.circuits.runtime import Runtime
from reliability.services.circuits.store import Answer, Step, connect, encode_settings, run_steps
from tests.reliability.services.circuits.conftest import Server, eventually, fail, is_refused

Start = Callable[..., Runtime]
NAME = "sim-a:orders"


def test_without_any_store_a_process_opens_by_itself_after_the_same_failures(process: Start) -> None:
    circuit = process(url="").get(NAME)
    reached = 0
    for _ in range(10):
        try:
            circuit.admit().fail(0.01)
            reached += 1
        except CircuitOpenError:
            continue

    assert reached == 5
    assert circuit.state is BreakerState.OPEN


def test_it_opens_and_recovers_while_the_store_is_dead(server: Server, process: Start) -> None:
    runtime = process(url=server.url)
    circuit = runtime.get(NAME)
    circuit.admit().succeed(0.01)
    with connect(server.url, 5.0) as client:
        quick = BreakerSettings(cooldown_seconds=0.1)
        assert isinstance(run_steps(client, [Step(NAME, "configure", (1, encode_settings(quick)))], "desk")[0], Answer)
    assert eventually(lambda: circuit.settings == quick)
    server.kill()

    fail(circuit, 4)
    assert not is_refused(circuit)
    fail(circuit, 1)
    assert is_refused(circuit)
    assert runtime.errors > 0

    assert eventually(lambda: circuit.wait_seconds() == 0)
    probes = [circuit.admit() for _ in range(3)]
    assert all(probe.is_probe for probe in probes)
    assert is_refused(circuit)
    for probe in probes:
        probe.succeed(0.01)
    assert circuit.state is BreakerState.CLOSED


def test_a_process_that_knows_nothing_waits_longer_for_its_first_answer(server: Server, process: Start) -> None:
    fail(process(url=server.url).get(NAME), 5)
    newcomer = process(url=server.url)
    with connect(server.url, 5.0) as client:
        client.client_pause(150, all=True)  # slower than any later question may be

        assert is_refused(newcomer.get(NAME)), "it would have let a call through that the others refuse"


def test_only_the_first_question_of_a_process_may_take_long(server: Server, process: Start) -> None:
    runtime = process(url=server.url)
    first = runtime.link.patience_seconds
    runtime.get(NAME).admit()

    assert eventually(lambda: runtime.link.patience_seconds < first)


def test_a_process_that_starts_without_the_store_decides_alone(server: Server, process: Start) -> None:
    server.kill()
    circuit = process(url=server.url).get(NAME)
    circuit.admit().succeed(0.01)
    fail(circuit, 5)

    assert is_refused(circuit)


@pytest.mark.prompt_store
def test_a_frozen_store_delays_one_failing_call_and_no_healthy_one(server: Server, process: Start) -> None:
    circuit = process(url=server.url).get(NAME)
    circuit.admit().succeed(0.01)
    server.freeze()
    try:
        for _ in range(1000):
            circuit.admit().succeed(0.01)
        fail(circuit, 10)  # ten timeouts of a client with its defaults would outlast the patience with a test
        state = circuit.state
    finally:
        server.thaw()

    assert state is BreakerState.OPEN, "decided alone, while the store said nothing"


def test_what_is_open_everywhere_is_open_after_the_store_lost_everything(server: Server, process: Start) -> None:
    first, second = process(url=server.url).get(NAME), process(url=server.url).get(NAME)
    second.admit()
    fail(first, 5)
    assert eventually(lambda: second.state is BreakerState.OPEN)
    before = first.generation
    server.kill()
    server.start()

    assert eventually(lambda: "" != first.generation != before)
    assert is_refused(first)
    assert is_refused(process(url=server.url).get(NAME)), "a new process learns it from the store"
    assert 20 < first.wait_seconds() <= 30, "for the rest of the cooldown, not for another one"


def test_an_opening_found_alone_is_told_to_a_new_store(server: Server, process: Start) -> None:
    circuit = process(url=server.url).get(NAME)
    circuit.admit()
    server.kill()
    fail(circuit, 5)
    assert circuit.state is BreakerState.OPEN
    server.start()
    other = process(url=server.url).get(NAME)

    assert eventually(lambda: is_refused(other))


@pytest.mark.prompt_store
def test_the_store_wins_when_it_comes_back_as_it_was(server: Server, process: Start) -> None:
    first, second = process(url=server.url).get(NAME), process(url=server.url).get(NAME)
    first.admit(), second.admit()
    server.freeze()
    fail(first, 6)
    assert first.state is BreakerState.OPEN
    server.thaw()

    assert eventually(lambda: first.state is second.state)


def test_a_pin_survives_the_loss_of_the_store(server: Server, process: Start) -> None:
    circuit = process(url=server.url).get(NAME)
    circuit.admit()
    with connect(server.url, 5.0) as client:
        run_steps(client, [Step(NAME, "pin", ("", "forced_open", "", "ann", "maintenance"))], "desk")
    assert eventually(lambda: circuit.state is PinnedState.FORCED_OPEN)
    server.kill()
    assert is_refused(circuit)
    server.start()
    other = process(url=server.url).get(NAME)

    assert eventually(lambda: is_refused(other) and other.state is PinnedState.FORCED_OPEN)
    assert circuit.state is PinnedState.FORCED_OPEN


def test_an_empty_store_gets_settings_and_pin_from_the_record(server: Server, process: Start) -> None:
    settings = BreakerSettings(failure_threshold=2)
    truth = CircuitTruth(settings, 4, Pin(PinnedState.METRICS_ONLY, "ann", "looking"), 3)
    circuit = process(url=server.url, loader=lambda name: truth if name == NAME else None).get(NAME)
    circuit.admit()

    assert eventually(lambda: circuit.settings == settings and circuit.state is PinnedState.METRICS_ONLY)
    assert circuit.settings_version == 4


def test_without_the_store_settings_and_pin_come_from_the_record(server: Server, process: Start) -> None:
    truth = CircuitTruth(BreakerSettings(), 1, Pin(PinnedState.FORCED_OPEN, "ann", "maintenance"))
    server.kill()
    circuit = process(url=server.url, loader=lambda name: truth).get(NAME)

    assert eventually(lambda: is_refused(circuit))
    assert circuit.state is PinnedState.FORCED_OPEN


def test_a_loader_that_fails_or_hangs_stops_no_call(server: Server, process: Start) -> None:
    def broken(name: str) -> CircuitTruth | None:
        raise LookupError(name)

    circuit = process(url=server.url, loader=broken).get(NAME)
    fail(circuit, 5)

    assert is_refused(circuit)


@pytest.mark.parametrize("operation", ["flush", "kill"])
def test_calls_never_see_an_error_of_the_store(server: Server, process: Start, operation: str) -> None:
    circuit = process(url=server.url).get(NAME)
    for number in range(60):
        if number == 20:
            if operation == "flush":
                with connect(server.url, 5.0) as client:
                    client.flushall()
            else:
                server.kill()
        permit = circuit.admit()
        permit.fail(0.01) if number % 7 == 3 else permit.succeed(0.01)

    assert circuit.state is BreakerState.CLOSED
