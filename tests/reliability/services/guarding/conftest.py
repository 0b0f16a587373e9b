"""Both ways to make a guarded call, and the records of the calls of a test."""

from collections.abc import Iterator

import pytest

from reliability.services.guarding.outcomes import CallOutcome, on_outcome, remove_hook


@pytest.fixture(params=["sync", "async"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def outcomes() -> Iterator[list[CallOutcome]]:
    kept: list[CallOutcome] = []
    on_outcome(kept.append)
    yield kept
    remove_hook(kept.append)
