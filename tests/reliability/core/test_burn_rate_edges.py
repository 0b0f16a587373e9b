"""The edges of burning budgets: at the floor, at the factor, at the limit, and what is told about them."""

from datetime import timedelta

import pytest

from reliability.core.burn_rate import BURN_WINDOWS, Burning, Counts, Floor, Objective, find_burning, is_failing_often

FLOOR = Floor(calls=100, bad=5)
HALF = Objective(0.5)


def test_at_the_floor_there_is_enough_to_be_judged() -> None:
    assert FLOOR.is_met(Counts(95, 5))
    assert not FLOOR.is_met(Counts(94, 5))
    assert not FLOOR.is_met(Counts(96, 4))


def test_at_the_limit_it_does_not_fail_too_often_yet() -> None:
    assert not is_failing_often(Counts(50, 50), 0.5, FLOOR)
    assert is_failing_often(Counts(49, 51), 0.5, FLOOR)


def test_at_the_factor_a_budget_burns_and_everything_about_it_is_told() -> None:
    window = BURN_WINDOWS[0]
    objective = Objective(1 - 1 / (window.factor * 2))
    counts = Counts(100, 100)
    burn = objective.burn(counts)
    exact = window.__class__(**{**{name: getattr(window, name) for name in window.__slots__}, "factor": burn})

    assert find_burning(objective, lambda _: counts, [exact], FLOOR) == Burning(exact, burn, burn, counts)


@pytest.mark.parametrize("period", [timedelta(0), timedelta(seconds=-1)])
def test_a_period_without_length_is_refused(period: timedelta) -> None:
    with pytest.raises(ValueError, match="period"):
        Objective(0.99, period)


def test_a_period_may_be_short() -> None:
    assert Objective(0.99, timedelta(hours=1)).period == timedelta(hours=1)
