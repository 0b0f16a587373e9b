"""Waits of work that goes on until its deadline: the policy of code and operation decides, with full jitter."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core.budget import UNIT, BudgetPolicy, RetryBudget
from reliability.core.catalog import CATALOG
from reliability.core.classification import Operation
from reliability.core.retry import NO_RETRY, backoff_delay, lasting_delay, policy_for

CODES = st.sampled_from(sorted(CATALOG))
OPERATIONS = st.sampled_from(list(Operation))
DRAWS = st.floats(0, 1, exclude_max=True)
FAILURES = st.integers(1, 10_000)
SPANS = st.timedeltas(timedelta(0), timedelta(minutes=10))
ZERO = timedelta(0)


@given(CODES, OPERATIONS, FAILURES, DRAWS)
def test_the_wait_is_the_policys_for_this_code_and_operation(
    code: str, operation: Operation, failures: int, draw: float
) -> None:
    policy = policy_for(code, operation)
    delay = lasting_delay(code, operation, failures, draw)

    assert ZERO <= delay <= timedelta(seconds=60)
    if policy != NO_RETRY:
        assert delay == backoff_delay(policy, min(failures, policy.max_attempts), draw)


@pytest.mark.parametrize("code", ["AUTH_INVALID_CREDENTIALS", "AUTH_FORBIDDEN"])
def test_refused_credentials_are_asked_for_again_gently_and_soon_enough_for_their_return(code: str) -> None:
    """Mean waits of full jitter: over three seconds a handful of attempts, and never more than ten seconds apart."""
    first, later = (lasting_delay(code, Operation.SUBMIT, failures, 0.999) for failures in (1, 9))
    assert first > timedelta(seconds=0.9)
    assert timedelta(seconds=9) < later <= timedelta(seconds=10)


@given(CODES, OPERATIONS, FAILURES, DRAWS, SPANS, SPANS)
def test_a_named_wait_is_kept_and_the_deadline_too(
    code: str, operation: Operation, failures: int, draw: float, named: timedelta, left: timedelta
) -> None:
    delay = lasting_delay(code, operation, failures, draw, retry_after=named, left=left)

    assert delay <= left
    assert delay == left or delay >= named


@given(CODES, OPERATIONS, FAILURES)
def test_the_jitter_is_full(code: str, operation: Operation, failures: int) -> None:
    """From nothing to the ceiling, in proportion to the draw: whoever failed together does not come back together."""
    none, half, most = (lasting_delay(code, operation, failures, draw) for draw in (0.0, 0.5, 0.999_999))

    assert none == ZERO
    assert abs(half * 2 - most) < timedelta(milliseconds=1)


@given(CODES, OPERATIONS, FAILURES)
def test_past_its_deadline_nothing_waits(code: str, operation: Operation, failures: int) -> None:
    assert lasting_delay(code, operation, failures, 0.9, left=timedelta(seconds=-1)) == ZERO


@given(CODES, st.integers(1, 100), DRAWS)
def test_a_cancel_never_waits_long_by_itself(code: str, failures: int, draw: float) -> None:
    if not code.startswith("RATE_LIMIT"):
        assert lasting_delay(code, Operation.CANCEL, failures, draw) <= timedelta(seconds=5)


@pytest.mark.parametrize(
    ("code", "operation", "longest"),
    [
        ("RATE_LIMIT_EXCEEDED", Operation.SUBMIT, 32),
        ("RATE_LIMIT_EXCEEDED", Operation.CANCEL, 32),
        ("BROKER_UNAVAILABLE", Operation.SUBMIT, 16),
        ("BROKER_UNAVAILABLE", Operation.CANCEL, 5),
        ("BROKER_SERVER_ERROR", Operation.SUBMIT, 8),
        ("BROKER_SERVER_ERROR", Operation.CANCEL, 5),
        ("NETWORK_DNS_FAILED", Operation.SUBMIT, 32),
        ("NETWORK_DNS_FAILED", Operation.CANCEL, 5),
        ("NETWORK_DNS_FAILED", Operation.QUERY, 8),
        ("NETWORK_CONNECT_REFUSED", Operation.SUBMIT, 3.2),
        ("NETWORK_CONNECT_REFUSED", Operation.CANCEL, 3.2),
    ],
)
def test_a_code_that_asks_for_longer_waits_gets_them_except_from_a_cancel(
    code: str, operation: Operation, longest: float
) -> None:
    """Only a rate limit makes a cancel wait: it takes risk away."""
    assert lasting_delay(code, operation, 1000, 0.5) == timedelta(seconds=longest / 2)


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=200))
def test_less_urgent_retries_leave_the_share_alone(spendings: list[tuple[float, bool]]) -> None:
    policy = BudgetPolicy(deposit=0.0, floor_per_second=2.0)
    budget, now = RetryBudget(policy), 0.0
    for pause, is_urgent in spendings:
        now += pause
        before = budget.balance_units(now)
        granted = budget.try_spend(now, 1, 0.0 if is_urgent else 0.5)

        assert granted is (before >= UNIT + (0 if is_urgent else policy.floor_units // 2))
        if granted and not is_urgent:
            assert budget.balance_units(now) >= policy.floor_units // 2
