"""How long a symbol may be silent follows from how long it usually is."""

from hypothesis import given
from hypothesis import strategies as st

from reconciliation.core.staleness import FEWEST, LEAST, LEAST_SECONDS, MOST, MOST_SECONDS, usual_quiet, usual_seconds


@given(st.lists(st.integers(0, 500), max_size=400))
def test_it_is_known_once_there_are_bars_enough_and_within_bounds(lengths: list[int]) -> None:
    quiet = usual_quiet(lengths)
    assert (quiet is None) == (len(lengths) < FEWEST)
    assert quiet is None or LEAST <= quiet <= MOST


@given(st.lists(st.integers(0, 200), min_size=FEWEST, max_size=300), st.integers(0, 200))
def test_who_is_more_silent_is_given_no_less_time(lengths: list[int], more: int) -> None:
    before, after = usual_quiet(lengths), usual_quiet([one + more for one in lengths])
    assert (before or 0) <= (after or 0)


def test_a_busy_symbol_is_missed_soon_and_one_odd_night_teaches_nothing() -> None:
    assert usual_quiet([0] * 2000) == 2
    assert usual_quiet([*[0] * 1999, 300]) == 2
    assert usual_quiet([6, 0, 3, 1] * 500) == 9


@given(st.lists(st.floats(0, 100_000), max_size=300))
def test_seconds_without_a_quote_are_known_within_bounds_too(silences: list[float]) -> None:
    usual = usual_seconds(silences)
    assert (usual is None) == (len(silences) < FEWEST)
    assert usual is None or LEAST_SECONDS <= usual <= MOST_SECONDS


def test_a_symbol_that_is_quoted_once_in_a_minute_is_missed_after_a_minute_and_a_half() -> None:
    assert usual_seconds([60.0] * 500) == 90
    assert usual_seconds([0.5] * 500) == LEAST_SECONDS
