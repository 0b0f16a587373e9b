"""The scenarios of the short run, on one stack: whatever is broken, nothing is lost, doubled or left behind.

Times are shown and fail nothing: the machine may be busy.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.chaos.episode import Outcome
from config.chaos.noise import noise_probe
from config.chaos.run import chaos_stack, run_one
from config.chaos.scenario import Scenario, read_all, select
from config.chaos.stack import Stack

SEED = 1
pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with chaos_stack() as stack:
        yield stack


@pytest.fixture(scope="module")
def noise(stack: Stack) -> Iterator[Path]:
    with noise_probe(stack.instance.directory / "noise") as path:
        yield path


@pytest.mark.parametrize("scenario", select(["ci"], read_all()), ids=lambda one: one.name)
def test_a_scenario_breaks_no_promise(stack: Stack, noise: Path, scenario: Scenario) -> None:
    episode = run_one(stack, scenario, SEED, noise, print)
    if episode.outcome is Outcome.NOT_RUN:
        pytest.skip(episode.reason)
    assert episode.is_safe, [episode.reason, *map(str, episode.findings)]
