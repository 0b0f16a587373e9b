"""Waits between attempts."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter; ``max_attempts`` includes the first one."""

    max_attempts: int = 6
    delay_initial: timedelta = timedelta(milliseconds=100)
    delay_max: timedelta = timedelta(seconds=32)
    multiplier: float = 2.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1 or self.multiplier < 1:
            raise ValueError("max_attempts and multiplier must be at least 1")
        if not timedelta(0) < self.delay_initial <= self.delay_max:
            raise ValueError("delays must satisfy 0 < delay_initial <= delay_max")


def backoff_delay(policy: RetryPolicy, failures: int, draw: float) -> timedelta:
    """Return the wait after the ``failures``-th failure in a row.

    The ceiling is ``delay_initial * multiplier ** (failures - 1)``, at most ``delay_max``;
    the wait is ``draw``'s share of it.

    Args:
        policy: Limits of the call.
        failures: Failed attempts so far, counted from 1.
        draw: A random number in [0, 1).

    Raises:
        ValueError: ``failures`` is below 1 or ``draw`` outside [0, 1).

    Source:
        "Full Jitter" in M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    if failures < 1 or not 0 <= draw < 1:
        raise ValueError("failures starts at 1 and draw is in [0, 1)")
    initial, longest = policy.delay_initial.total_seconds(), policy.delay_max.total_seconds()
    exponent = min(failures - 1, 64)
    ceiling = min(initial * policy.multiplier**exponent, longest)
    return timedelta(seconds=ceiling * draw)
