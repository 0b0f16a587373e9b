"""Retries never cost more than their share of the calls, in any window."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from reliability.core.budget import SLOTS, UNIT, BudgetPolicy, RetryBudget

POLICY = BudgetPolicy(deposit=0.2, floor_per_second=1.0, ttl_seconds=10.0)


class BudgetMachine(RuleBasedStateMachine):
    """The budget against a list of everything that ever happened."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.budget = RetryBudget(POLICY)
        self.events: list[tuple[float, int]] = []  # when, units

    def expected(self) -> int:
        oldest = math.floor(self.now / POLICY.slot_seconds) - SLOTS
        alive = [units for at, units in self.events if math.floor(at / POLICY.slot_seconds) > oldest]
        return max(0, POLICY.floor_units + sum(alive))

    @rule(seconds=st.floats(0, 15))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(calls=st.integers(0, 200))
    def call(self, calls: int) -> None:
        self.budget.deposit(self.now, calls)
        self.events.append((self.now, calls * POLICY.deposit_units))

    @rule(cost=st.integers(0, 4))
    def retry(self, cost: int) -> None:
        affordable = self.expected() >= cost * UNIT

        assert self.budget.try_spend(self.now, cost) is affordable
        if affordable:
            self.events.append((self.now, -cost * UNIT))

    @invariant()
    def the_balance_is_what_the_events_say(self) -> None:
        assert self.budget.balance_units(self.now) == self.expected()


BudgetMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBudgetMachine = BudgetMachine.TestCase


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(0, 50), st.integers(0, 60)), max_size=60))
def test_in_any_window_retries_cost_at_most_their_share(steps: list[tuple[float, int, int]]) -> None:
    budget, now = RetryBudget(POLICY), 0.0
    calls: list[tuple[float, int]] = []
    spent: list[float] = []
    for wait, made, wanted in steps:
        now += wait
        budget.deposit(now, made)
        calls.append((now, made))
        spent += [now for _ in range(wanted) if budget.try_spend(now, 1)]

    for end in spent:
        within = sum(1 for at in spent if end - 9 < at <= end)
        deposits = sum(made for at, made in calls if end - 10 <= at <= end)
        assert within <= POLICY.floor_units / UNIT + 0.2 * deposits + 1e-9


def test_a_quiet_dependency_may_be_retried_a_few_times() -> None:
    budget = RetryBudget(POLICY)

    assert [budget.try_spend(0.0) for _ in range(11)] == [True] * 10 + [False]


def test_a_timeout_empties_the_budget_twice_as_fast() -> None:
    budget = RetryBudget(POLICY)

    assert [budget.try_spend(0.0, 2) for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize("values", [{"deposit": -0.1}, {"floor_per_second": -1.0}, {"ttl_seconds": 0.0}])
def test_a_policy_without_sense_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        BudgetPolicy(**values)


def test_a_negative_cost_is_refused() -> None:
    with pytest.raises(ValueError):
        RetryBudget(POLICY).try_spend(0.0, -1)


@pytest.mark.parametrize(("deposit", "floor"), [(0.0, 1.0), (0.2, 0.0), (0.5, 0.5)])
def test_a_budget_may_live_of_calls_alone_or_of_its_floor_alone(deposit: float, floor: float) -> None:
    policy = BudgetPolicy(deposit=deposit, floor_per_second=floor, ttl_seconds=0.5)
    budget = RetryBudget(policy)
    budget.deposit(0.0, 10)

    assert budget.balance_units(0.0) == round((10 * deposit + 0.5 * floor) * UNIT)


def test_a_deposit_is_one_call_unless_it_says_how_many() -> None:
    budget = RetryBudget(POLICY)
    budget.deposit(0.0)

    assert budget.balance_units(0.0) - POLICY.floor_units == POLICY.deposit_units


@pytest.mark.parametrize("ttl", [0.5, 10.0, 300.0])
def test_a_deposit_lives_nine_tenths_of_the_time_and_never_longer_than_it(ttl: float) -> None:
    policy = BudgetPolicy(floor_per_second=0.0, ttl_seconds=ttl)
    budget = RetryBudget(policy)
    budget.deposit(0.0, 5)

    assert budget.balance_units(0.89 * ttl) == UNIT
    assert budget.balance_units(ttl) == 0


def test_a_clock_read_a_moment_earlier_by_another_thread_counts_into_the_newest_slot() -> None:
    budget = RetryBudget(POLICY)
    budget.deposit(5.0, 5)
    budget.deposit(3.0, 5)

    assert budget.balance_units(14.0) == POLICY.floor_units + 2 * UNIT
    assert budget.balance_units(15.0) == POLICY.floor_units
