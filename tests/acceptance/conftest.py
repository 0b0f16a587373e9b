"""Stacks for the scenarios."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.chaos import sabotage
from config.chaos.stack import Stack, running_stack

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.acceptance)


@pytest.fixture(scope="session")
def session_stack() -> Iterator[Stack]:
    """The stack as it is started for everybody; scenarios share it, because every one must leave it healthy."""
    with running_stack() as stack:
        yield stack


@pytest.fixture
def stack(session_stack: Stack) -> Iterator[Stack]:
    yield session_stack
    session_stack.clear_faults()


@pytest.fixture(scope="session")
def breakable_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose protections a test can take away, with a short lease and a short settle time."""
    directory = tmp_path_factory.mktemp("sabotage")
    environment = {
        "DJANGO_SETTINGS_MODULE": "config.chaos.sabotage_settings",
        sabotage.VARIABLE: str(directory),
        "STANCHION_JOB_LEASE_SECONDS": "3",
        "STANCHION_SETTLE_SECONDS": "1",
    }
    with running_stack(environment) as stack:
        stack.sabotage = directory
        yield stack


@pytest.fixture
def breakable(breakable_stack: Stack) -> Iterator[Stack]:
    yield breakable_stack
    breakable_stack.restore_all()
    breakable_stack.clear_faults()
