"""Of a budget less urgent retries leave a share alone."""

import pytest

from reliability.core.budget import UNIT, BudgetPolicy, RetryBudget

POLICY = BudgetPolicy(deposit=0.0, floor_per_second=1.0)


def test_what_is_kept_is_a_share_of_the_floor() -> None:
    assert [POLICY.kept_units(share) for share in (0, 0.25, 1)] == [0, 2500, 10 * UNIT]


@pytest.mark.parametrize("share", [-0.01, 1.01, 2])
def test_a_share_is_between_none_and_all(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        POLICY.kept_units(share)


def test_less_urgent_retries_leave_it_and_urgent_ones_take_it() -> None:
    budget = RetryBudget(POLICY)

    assert [budget.try_spend(0.0, 1, 0.4) for _ in range(8)] == [True] * 6 + [False] * 2
    assert [budget.try_spend(0.0) for _ in range(5)] == [True] * 4 + [False]
