"""Baskets while worker processes die: the small form of ``make basket-crashes``."""

from benchmarks.basket_crashes import run_crashes
from tests.acceptance.stack import Stack
from tests.acceptance.trial import draws


def test_no_basket_is_left_half_by_crashes(stack: Stack) -> None:
    stack.fault("a", "latency", operation="submit", ms=100, jitter_ms=100)
    run = run_crashes(stack, 6, draws("basket crashes"))

    assert run.problems == []
    assert run.crashes == 6
    assert set(run.ends) <= {"filled", "compensated"}
