"""Changes that race with fills, shuffled fills and lost replies: the small form of ``make order-races``."""

import pytest

from benchmarks.order_races import run_races
from config.chaos.stack import Stack
from config.chaos.trial import draws

pytestmark = pytest.mark.long


def test_races_end_as_the_brokers_have_them(stack: Stack) -> None:
    run = run_races(stack, races=40, events=150, lost=20, chance=draws("order races"))

    assert run.problems == []
    assert (run.mismatches, run.doubled) == (0, 0)
    changes, fills, lost = run.outcomes
    assert changes.ends["old filled"] > 0
    assert changes.ends["old canceled"] > 0
    assert fills.ends["hits of duplicate_fills"] > 0
    assert lost.ends["were unknown"] > 0
