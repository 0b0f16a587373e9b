"""Stacks for the scenarios: tests share one where they can, and none runs longer than the tests that want it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from config.chaos.run import breakable_stack
from config.chaos.stack import Stack, running_stack
from tests.acceptance.rabbitmq import find_program, running_rabbitmq

_HERE = Path(__file__).parent


@dataclass
class SharedStack:
    """The stack that tests one after the other want, under the name of their fixture; every one must leave it healthy.

    A stack at rest takes a quarter of a core from the tests of another one.
    """

    _name: str = ""
    _stack: Stack | None = None
    _running: ExitStack = field(default_factory=ExitStack)

    def get(self, name: str, begin: Callable[[], AbstractContextManager[Stack]]) -> Stack:
        if self._stack is None or self._name != name:
            self.end()
            self._stack, self._name = self._running.enter_context(begin()), name
        return self._stack

    def end_unless_wanted_by(self, item: pytest.Item | None) -> None:
        if self._stack is not None and (item is None or self._name not in getattr(item, "fixturenames", ())):
            self.end()

    def end(self) -> None:
        self._stack = None
        self._running.close()


_shared = SharedStack()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rabbitmq", action="store_true", help="RabbitMQ carries the messages of the shared stack")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.acceptance)
    own = [item for item in items if _HERE in item.path.parents]
    own.sort(key=_place)
    places = [place for place, item in enumerate(items) if _HERE in item.path.parents]
    for place, item in zip(places, own, strict=True):
        items[place] = item


def _place(item: pytest.Item) -> int:
    """Put those of one shared stack after one another."""
    names = getattr(item, "fixturenames", ())
    return next((place for place, name in enumerate(("stack", "breakable")) if name in names), 2)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Iterator[None]:
    result = yield
    _shared.end_unless_wanted_by(nextitem)
    return result


@contextmanager
def _stack_on_rabbitmq() -> Iterator[Stack]:
    program = find_program()
    if program is None:
        pytest.fail("rabbitmq-server (a Debian package) is not installed")
    with (
        TemporaryDirectory(prefix="stanchion-rabbitmq-") as folder,
        running_rabbitmq(program, Path(folder)) as server,
        running_stack({"STANCHION_BROKER_URL": server.url}) as stack,
    ):
        yield stack


@pytest.fixture
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The stack as it is started for everybody."""
    stack = _shared.get("stack", _stack_on_rabbitmq if request.config.getoption("--rabbitmq") else running_stack)
    yield stack
    stack.clear_faults()


@pytest.fixture
def breakable() -> Iterator[Stack]:
    """A stack whose protections a test can take away, with a short lease and a short settle time."""
    stack = _shared.get("breakable", lambda: breakable_stack({}))
    yield stack
    stack.restore_all()
    stack.clear_faults()
