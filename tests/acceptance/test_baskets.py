"""Baskets while worker processes die: the small form of ``make basket-crashes``."""

import pytest

from benchmarks.basket_crashes import run_crashes
from config.chaos.faults.tracing import why_not_traced
from config.chaos.stack import Stack
from config.chaos.trial import draws


def take_legs_as_told(stack: Stack) -> None:
    """Nobody was told of the legs of baskets one by one: the next scenario is not blamed for them."""
    told = set(stack.accepted.values())
    orders = [str(row[0]) for row in stack.query("SELECT id FROM brokers_order")]
    stack.accepted.update({order: order for order in orders if order not in told})


def test_no_basket_is_left_half_by_crashes(stack: Stack) -> None:
    stack.fault("a", "latency", operation="submit", ms=100, jitter_ms=100)
    try:
        run = run_crashes(stack, 6, draws("basket crashes"))
    finally:
        take_legs_as_told(stack)

    assert run.problems == []
    assert run.crashes == 6
    assert set(run.ends) <= {"filled", "compensated"}


@pytest.mark.skipif(bool(why_not_traced()), reason=why_not_traced() or "system calls can be traced")
def test_no_basket_is_left_half_by_deaths_at_system_calls(stack: Stack) -> None:
    stack.fault("a", "latency", operation="submit", ms=50, jitter_ms=50)
    try:
        run = run_crashes(stack, 2, draws("basket crashes at calls"), at="calls")
    finally:
        take_legs_as_told(stack)

    assert run.problems == []
    assert run.calls.total() == 2
    assert "none seen" not in run.calls
    assert set(run.ends) <= {"filled", "compensated"}
