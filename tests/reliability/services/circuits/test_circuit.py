"""One circuit in several processes."""

import asyncio
import pickle
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
import redis

from reliability.core.breaker import BreakerSettings, BreakerState, PinnedState
from reliability.services.circuits import CircuitOpenError
from reliability.services.circuits.circuit import Circuit
from reliability.services.circuits.link import Link
from reliability.services.circuits.runtime import Runtime
from reliability.services.circuits.store import Answer, Step, encode_settings, escape, keys, run_steps
from tests.reliability.services.circuits.conftest import eventually, fail, is_refused

Start = Callable[..., Runtime]


def order(store: "redis.Redis", name: str, operation: str, *arguments: str | int) -> None:
    assert isinstance(run_steps(store, [Step(name, operation, arguments)], "desk")[0], Answer)


def configure(store: "redis.Redis", circuit: Circuit, settings: BreakerSettings) -> None:
    circuit.admit()
    order(store, circuit.name, "configure", 1, encode_settings(settings))
    assert eventually(lambda: circuit.settings == settings)


def test_failures_in_several_processes_add_up_and_all_refuse(name: str, process: Start) -> None:
    circuits = [process().get(name) for _ in range(3)]
    for circuit in circuits:
        circuit.admit().succeed(0.01)
    time.sleep(0.003)  # the clocks count milliseconds
    for number in range(5):
        circuits[number % 3].admit().fail(0.01)

    assert all(eventually(lambda one=circuit: one.state is BreakerState.OPEN) for circuit in circuits)
    with pytest.raises(CircuitOpenError) as refusal:
        circuits[0].admit()
    assert refusal.value.circuit == name
    assert refusal.value.state is BreakerState.OPEN
    assert 25 < (refusal.value.retry_after_seconds or 0) <= 30


def test_the_fifth_failure_is_followed_by_a_refusal_in_the_same_process_at_once(name: str, process: Start) -> None:
    circuit = process().get(name)
    fail(circuit, 5)

    with pytest.raises(CircuitOpenError):
        circuit.admit()


def test_a_process_that_starts_while_it_is_open_lets_nothing_through(name: str, process: Start) -> None:
    fail(process().get(name), 5)

    with pytest.raises(CircuitOpenError):
        process().get(name).admit()


def test_successes_reach_the_shared_count_without_a_failure(name: str, process: Start, store: "redis.Redis") -> None:
    circuit = process().get(name)
    for _ in range(7):
        circuit.admit().succeed(0.01)

    def counted() -> int:
        found = run_steps(store, [Step(name, "read", (-1,))], "desk")[0]
        return found.raw["counts"]["successes"] if isinstance(found, Answer) and found.raw else 0

    assert eventually(lambda: counted() == 7)


def test_no_success_is_lost_or_counted_twice_between_threads(name: str, process: Start) -> None:
    circuit = process().get(name)
    permit = circuit.admit()

    def work() -> None:
        for _ in range(2000):
            permit.succeed(0.01)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    taken = 0
    while any(thread.is_alive() for thread in threads):
        taken += permit.take_successes()[0]  # type: ignore[attr-defined]
    taken += permit.take_successes()[0]  # type: ignore[attr-defined]
    counted = taken + _shared_successes(circuit)

    assert counted == 8000


def _shared_successes(circuit: Circuit) -> int:
    """The link may have taken some meanwhile."""
    from reliability.services.circuits.store import connect

    with connect(circuit._runtime._url, 5.0) as client:
        eventually(lambda: circuit.pending() is None)
        found = run_steps(client, [Step(circuit.name, "read", (-1,))], "desk")[0]
        assert isinstance(found, Answer)
        assert found.raw is not None
        return int(found.raw["counts"]["successes"])


def test_three_probes_in_all_processes_together_and_their_success_closes_it_everywhere(
    name: str, process: Start, store: "redis.Redis"
) -> None:
    first, second = process().get(name), process().get(name)
    configure(store, first, BreakerSettings(cooldown_seconds=0.05))
    second.admit()
    fail(first, 5)
    assert eventually(lambda: first.wait_seconds() == 0)

    probes = [first.admit(), second.admit(), first.admit()]
    assert all(probe.is_probe for probe in probes)
    assert is_refused(first)
    assert is_refused(second)
    for probe in probes:
        probe.succeed(0.01)

    assert eventually(lambda: first.state is second.state is BreakerState.CLOSED)


def test_a_failed_probe_refuses_everywhere_again(name: str, process: Start, store: "redis.Redis") -> None:
    first, second = process().get(name), process().get(name)
    configure(store, first, BreakerSettings(cooldown_seconds=1))
    second.admit()
    fail(first, 5)
    assert eventually(lambda: second.state is BreakerState.OPEN)
    assert eventually(lambda: second.wait_seconds() == 0)
    second.admit().fail(0.01)

    assert is_refused(second)
    assert eventually(lambda: first.state is BreakerState.OPEN)


def test_a_probe_that_is_given_back_decides_nothing(name: str, process: Start, store: "redis.Redis") -> None:
    circuit = process().get(name)
    configure(store, circuit, BreakerSettings(cooldown_seconds=0.05, success_threshold=1))
    fail(circuit, 5)
    assert eventually(lambda: circuit.wait_seconds() == 0)

    circuit.admit().release()

    assert eventually(lambda: not is_refused(circuit))
    assert circuit.state is BreakerState.HALF_OPEN


def test_a_permit_that_is_granted_when_nobody_waits_any_more_is_given_back(
    name: str, process: Start, store: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a slow store would lend all permits to nobody, and no probe could decide until their leases end."""
    first, second = process().get(name), process().get(name)
    configure(store, first, BreakerSettings(cooldown_seconds=0.05, success_threshold=1, probe_lease_seconds=600))
    second.admit()
    fail(first, 5)
    assert eventually(lambda: second.state is BreakerState.OPEN)
    assert eventually(lambda: first.wait_seconds() == 0 == second.wait_seconds())

    with monkeypatch.context() as hasty:
        hasty.setattr(Link, "patience_seconds", 0.0)
        with suppress(CircuitOpenError):  # it goes on alone before the answer comes
            first.admit().release()

    assert eventually(lambda: not is_refused(second))


def test_the_permit_of_a_prober_that_vanished_comes_back(name: str, process: Start, store: "redis.Redis") -> None:
    first, second = process().get(name), process().get(name)
    configure(store, first, BreakerSettings(cooldown_seconds=0.05, success_threshold=1, probe_lease_seconds=2))
    fail(first, 5)
    assert eventually(lambda: first.wait_seconds() == 0)
    assert first.admit().is_probe  # and never reported

    assert is_refused(second)
    assert eventually(lambda: not is_refused(second))


def test_slow_answers_open_it_when_their_rule_is_on(name: str, process: Start, store: "redis.Redis") -> None:
    circuit = process().get(name)
    configure(store, circuit, BreakerSettings(slow_call_seconds=1))
    for _ in range(10):
        circuit.admit().succeed(1.5)

    assert eventually(lambda: circuit.state is BreakerState.OPEN)


def test_call_counts_failures_and_leaves_refusals_of_business_alone(name: str, process: Start) -> None:
    circuit = process().get(name)

    def refuse() -> None:
        raise ValueError("insufficient funds")

    def drop() -> None:
        raise ConnectionError

    assert circuit.call(lambda number: number + 1, 1) == 2
    for _ in range(8):
        with pytest.raises(ValueError, match="funds"):
            circuit.call(refuse, counts=lambda error: isinstance(error, ConnectionError))
    assert circuit.state is BreakerState.CLOSED
    for _ in range(9):
        with pytest.raises((ConnectionError, CircuitOpenError)):
            circuit.call(drop)
    assert circuit.state is BreakerState.OPEN


def test_coroutines_use_it_without_blocking_their_loop(name: str, process: Start) -> None:
    circuit = process().get(name)

    async def drop() -> None:
        raise ConnectionError

    async def run() -> list[type[BaseException]]:
        outcomes = await asyncio.gather(*(circuit.call_async(drop) for _ in range(30)), return_exceptions=True)
        with pytest.raises(CircuitOpenError):
            await circuit.call_async(drop)
        return [type(outcome) for outcome in outcomes if isinstance(outcome, BaseException)]

    assert set(asyncio.run(run())) == {ConnectionError}
    assert circuit.state is BreakerState.OPEN


def test_a_cancelled_probe_gives_its_permit_back(name: str, process: Start, store: "redis.Redis") -> None:
    circuit = process().get(name)
    configure(store, circuit, BreakerSettings(cooldown_seconds=0.05, success_threshold=1))
    fail(circuit, 5)
    assert eventually(lambda: circuit.wait_seconds() == 0)

    async def run() -> None:
        task = asyncio.create_task(circuit.call_async(asyncio.sleep, 60))
        while circuit.state is not BreakerState.HALF_OPEN:  # noqa: ASYNC110  the state has no event to wait for
            await asyncio.sleep(0.002)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert eventually(lambda: not is_refused(circuit))


@pytest.mark.parametrize(
    ("state", "refuses"),
    [(PinnedState.FORCED_OPEN, True), (PinnedState.DISABLED, False), (PinnedState.METRICS_ONLY, False)],
)
def test_a_pin_holds_in_every_process_and_ends_by_itself(
    name: str, process: Start, store: "redis.Redis", state: PinnedState, refuses: bool
) -> None:
    circuits = [process().get(name) for _ in range(2)]
    for circuit in circuits:
        circuit.admit()
    order(store, name, "pin", "", state.value, 600, "ann", "maintenance")
    for circuit in circuits:
        assert eventually(lambda one=circuit: one.state is state)
        assert is_refused(circuit) is refuses
        fail(circuit, 20)
        assert circuit.state is state

    after = BreakerState.HALF_OPEN if refuses else BreakerState.CLOSED
    for circuit in circuits:
        assert eventually(lambda one=circuit: not is_refused(one) and one.state is after)


def test_without_a_quorum_only_the_host_that_sees_failures_stops(
    name: str, process: Start, store: "redis.Redis"
) -> None:
    here, there = process(host="a").get(name), process(host="b").get(name)
    configure(store, here, BreakerSettings(quorum=2, cooldown_seconds=0.3, success_threshold=1))
    there.admit()
    fail(here, 5)
    assert is_refused(here)
    assert not is_refused(there)

    assert eventually(lambda: here.wait_seconds() == 0)
    here.admit().succeed(0.01)
    assert here.state is BreakerState.CLOSED, "its own probe succeeded"

    fail(here, 5)
    fail(there, 1)
    assert eventually(lambda: there.state is BreakerState.OPEN), "two hosts see failures now"


def test_odd_names_stay_apart() -> None:
    names = ["sim a", "sim%20a", "sim{a}", "sim}a{", "sim\na", "símä", "sim_a", "sim-a:orders"]

    assert len({escape(name) for name in names}) == len(names)
    assert all(keys(name)[0].count("{") == keys(name)[0].count("}") == 1 for name in names)


def test_a_refusal_can_be_pickled_and_says_what_it_is() -> None:
    error = CircuitOpenError("sim-a:orders", BreakerState.OPEN, 2.1)
    same = pickle.loads(pickle.dumps(error))

    assert (same.circuit, same.state, same.retry_after_seconds) == ("sim-a:orders", BreakerState.OPEN, 3)
    assert same.details == {"circuit": "sim-a:orders", "state": "open"}
    assert same.definition.http_status == 503
    assert CircuitOpenError("x", PinnedState.FORCED_OPEN, float("inf")).retry_after_seconds is None


def test_refusals_do_not_grow_a_traceback(name: str, process: Start) -> None:
    circuit = process().get(name)
    fail(circuit, 5)

    def frames() -> int:
        with pytest.raises(CircuitOpenError) as refusal:
            circuit.admit()
        return len(refusal.traceback)

    assert len({frames() for _ in range(20)}) == 1
