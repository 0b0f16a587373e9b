"""Transitions are told to hooks: once in each process, also when the message about them was lost."""

from collections.abc import Callable, Iterator

import pytest

from reliability.services import circuits
from reliability.services.circuits import Transition
from reliability.services.circuits.runtime import Runtime
from reliability.services.circuits.store import CHANNEL, Step, connect
from tests.reliability.services.circuits.conftest import Server, eventually, fail

Start = Callable[..., Runtime]


class Hook:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Transition] = []

    def __call__(self, transition: Transition) -> None:
        self.told.append(transition)

    def of(self, name: str) -> list[tuple[str, int]]:
        return [(one.generation, one.version) for one in self.told if one.circuit == name]


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    circuits.remove_hook(hook)


def test_the_process_that_caused_it_tells_it_once(name: str, process: Start, hook: Hook) -> None:
    circuits.on_transition(hook)
    causing, hearing = process(), process()
    hearing.get(name).admit()
    fail(causing.get(name), 5)
    causing.stop(), hearing.stop()

    (told,) = [one for one in hook.told if one.circuit == name]
    assert (told.from_state, told.to_state, told.cause) == ("closed", "open", "consecutive_failures")
    assert told.process == causing.process
    assert told.counts.failures == 5
    assert told.at.utcoffset() is not None
    assert not told.is_local


def test_every_process_that_hears_of_it_tells_those_who_asked(server: Server, process: Start, hook: Hook) -> None:
    circuits.on_transition(hook, heard=True)
    causing, hearing, deaf = (process(url=server.url) for _ in range(3))
    hearing.get("sim-a:orders").admit()
    deaf.get("another").admit()
    with connect(server.url, 5.0) as client:
        assert eventually(lambda: dict(client.pubsub_numsub(CHANNEL))[CHANNEL] == 2), "both listen"
    fail(causing.get("sim-a:orders"), 5)

    assert eventually(lambda: len(hook.of("sim-a:orders")) == 3), "also where the circuit is not used"
    assert len(set(hook.of("sim-a:orders"))) == 1, "all name it alike"


def test_a_process_that_heard_nothing_finds_it_in_the_log(server: Server, process: Start, hook: Hook) -> None:
    listening = process(url=server.url)
    circuit = listening.get("sim-a:orders")
    circuit.admit()
    assert listening._listener is not None
    listening._listener.stop()
    listening._listener._thread.join()
    circuits.on_transition(hook, heard=True)
    causing = process(url=server.url)
    fail(causing.get("sim-a:orders"), 5)
    with connect(server.url, 5.0) as client:
        from reliability.services.circuits.store import run_steps

        run_steps(client, [Step("sim-a:orders", "reset", ("",))], "desk")

    assert eventually(lambda: [version for _, version in hook.of("sim-a:orders")].count(1) == 2)
    assert eventually(lambda: [version for _, version in hook.of("sim-a:orders")].count(2) == 2)


def test_what_a_process_decides_alone_is_told_as_such(process: Start, hook: Hook) -> None:
    circuits.on_transition(hook)
    runtime = process(url="")
    fail(runtime.get("alone"), 5)
    runtime.stop()

    (told,) = [one for one in hook.told if one.circuit == "alone"]
    assert told.is_local
    assert told.generation.startswith("local:")


def test_a_hook_that_fails_stops_no_other(name: str, process: Start, hook: Hook) -> None:
    def broken(transition: Transition) -> None:
        raise LookupError

    circuits.on_transition(broken)
    circuits.on_transition(hook)
    runtime = process()
    fail(runtime.get(name), 5)
    runtime.stop()
    circuits.remove_hook(broken)

    assert len(hook.of(name)) == 1
