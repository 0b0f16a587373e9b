"""Stacks for the scenarios, and the table of what was measured."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance import measurements
from tests.acceptance.stack import Stack, running_stack

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.acceptance)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if measurements.MEASURED:
        terminalreporter.section("measured by the acceptance tests")
        for line in measurements.table():
            terminalreporter.write_line(line)
        measurements.write()


@pytest.fixture(scope="session")
def session_stack() -> Iterator[Stack]:
    """The stack as it is started for everybody; scenarios share it, because every one must leave it healthy."""
    with running_stack() as stack:
        yield stack


@pytest.fixture
def stack(session_stack: Stack) -> Iterator[Stack]:
    yield session_stack
    session_stack.clear_faults()
