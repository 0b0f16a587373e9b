"""Waiting for what a fault must lead to, and how long it took."""

import time
from collections.abc import Callable

LONGEST_SECONDS = 30.0


def wait_for(condition: Callable[[], object], began: float, what: str) -> float:
    """Return how many seconds after ``began``, an instant of the monotonic clock, ``condition`` came true.

    Raises:
        AssertionError: it did not within half a minute.
    """
    while time.monotonic() - began < LONGEST_SECONDS:
        if condition():
            return time.monotonic() - began
        time.sleep(0.005)
    raise AssertionError(f"{what} was not told within {LONGEST_SECONDS:g} s")
