"""How an unknown outcome is settled: when to ask again, and when absence is believed."""

from datetime import timedelta

_SCHEDULE = tuple(timedelta(seconds=seconds) for seconds in (0.2, 0.5, 1.0, 2.0, 4.0))
_POLL = timedelta(seconds=5)
MISSES_NEEDED = 3


def lookup_delay(misses: int) -> timedelta:
    """Return the wait before the next look-up, after so many clean misses."""
    return _SCHEDULE[misses] if misses < len(_SCHEDULE) else _POLL


def delay_after_miss(*, misses: int, age: timedelta, settle_time: timedelta) -> timedelta:
    """Return the wait after a clean miss: no longer than to the moment at which one more may prove absence."""
    delay, remaining = lookup_delay(misses), settle_time - age
    return remaining if timedelta(0) < remaining < delay else delay


def absence_is_proven(*, misses: int, age: timedelta, settle_time: timedelta) -> bool:
    """Return whether the broker provably never got the order.

    It takes three clean answers of "no such order", the last one after the settle time
    since sending has passed. A failed look-up is no answer and does not count.
    """
    return misses >= MISSES_NEEDED and age >= settle_time
