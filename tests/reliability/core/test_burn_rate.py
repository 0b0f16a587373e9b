"""Budgets burn as arithmetic says, and few calls say nothing."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core.burn_rate import (
    BURN_WINDOWS,
    Counts,
    Objective,
    find_burning,
    is_failing_often,
)
from reliability.core.taxonomy import ErrorSeverity

HOUR, FIVE = timedelta(hours=1), timedelta(minutes=5)
counts = st.builds(Counts, st.integers(0, 10**9), st.integers(0, 10**9))
targets = st.floats(0.5, 0.99999)


@given(counts, targets)
def test_the_budget_is_used_up_exactly_when_the_target_is_missed(found, target):
    objective = Objective(target)

    left = objective.budget_left(found)
    assert left == pytest.approx(1 - objective.burn(found))
    if found.all and abs(found.bad_ratio - objective.budget) > 1e-9:
        assert (left < 0) == (found.bad_ratio > objective.budget)


def test_one_percent_of_failures_burns_a_budget_of_one_in_a_thousand_ten_times_too_fast():
    assert Objective(0.999).burn(Counts(990, 10)) == pytest.approx(10)
    assert Objective(0.995).burn(Counts(990, 10)) == pytest.approx(2)


@pytest.mark.parametrize("target", [0, 1, 1.5, -0.2])
def test_a_target_that_is_no_share_is_refused(target):
    with pytest.raises(ValueError):
        Objective(target)


def windows(**by_name: Counts):
    def counts_in(window: timedelta) -> Counts:
        return by_name.get({HOUR: "hour", FIVE: "five"}.get(window, "other"), Counts(10**6, 0))

    return counts_in


def test_a_burning_budget_is_found_by_both_windows_and_forgotten_by_the_short_one():
    objective = Objective(0.995)
    heavy = Counts(900, 100)

    burning = find_burning(objective, windows(hour=heavy, five=heavy))
    assert burning is not None
    assert (burning.window.severity, burning.long_burn) == (ErrorSeverity.CRITICAL, pytest.approx(20))
    assert find_burning(objective, windows(hour=heavy, five=Counts(500, 0))) is None


@given(st.integers(0, 99), st.integers(0, 1))
def test_a_handful_of_calls_burns_nothing(all_calls, good):
    few = Counts(all_calls * good, all_calls * (1 - good))

    assert find_burning(Objective(0.999), lambda _: few) is None
    assert not is_failing_often(few, 0.01)


def test_one_error_in_twenty_calls_stays_silent():
    assert not is_failing_often(Counts(19, 1), 0.01)
    assert is_failing_often(Counts(190, 10), 0.01)


@given(st.lists(counts, min_size=6, max_size=6), targets)
def test_what_burns_burns_in_both_windows_and_the_worst_pair_is_named(found, target):
    spans = [span for window in BURN_WINDOWS for span in (window.long, window.short)]
    by_span = dict(zip(spans, found, strict=True)) | {timedelta(hours=6): found[2]}
    objective = Objective(target)
    burning = find_burning(objective, by_span.__getitem__)

    def burns(window):
        long, short = by_span[window.long], by_span[window.short]
        judged = long.all >= 100 and long.bad >= 5
        return judged and min(objective.burn(long), objective.burn(short)) >= window.factor

    assert (burning and burning.window) == next((window for window in BURN_WINDOWS if burns(window)), None)
