"""Waits between attempts stay inside their limits, whatever is drawn."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core.retry import RetryPolicy, backoff_delay

DRAWS = st.floats(0, 1, exclude_max=True)
FAILURES = st.integers(1, 10_000)


@st.composite
def policies(draw: st.DrawFn) -> RetryPolicy:
    initial = draw(st.timedeltas(timedelta(milliseconds=1), timedelta(hours=1)))
    return RetryPolicy(
        max_attempts=draw(st.integers(1, 50)),
        delay_initial=initial,
        delay_max=initial + draw(st.timedeltas(timedelta(0), timedelta(days=1))),
        multiplier=draw(st.floats(1, 100)),
    )


@given(policies(), FAILURES, DRAWS)
def test_a_wait_is_never_negative_and_never_above_the_limit(policy: RetryPolicy, failures: int, draw: float) -> None:
    assert timedelta(0) <= backoff_delay(policy, failures, draw) <= policy.delay_max


@given(policies(), FAILURES, DRAWS)
def test_one_more_failure_never_waits_less_at_the_same_draw(policy: RetryPolicy, failures: int, draw: float) -> None:
    assert backoff_delay(policy, failures, draw) <= backoff_delay(policy, failures + 1, draw)


@given(policies(), FAILURES, st.tuples(DRAWS, DRAWS))
def test_a_larger_draw_never_waits_less(policy: RetryPolicy, failures: int, draws: tuple[float, float]) -> None:
    smaller, larger = sorted(draws)
    assert backoff_delay(policy, failures, smaller) <= backoff_delay(policy, failures, larger)


@given(policies(), DRAWS)
def test_the_first_wait_is_a_share_of_the_initial_delay(policy: RetryPolicy, draw: float) -> None:
    assert backoff_delay(policy, 1, draw) <= policy.delay_initial


def test_ceilings_double_from_the_initial_delay_to_the_longest() -> None:
    policy = RetryPolicy(delay_initial=timedelta(seconds=1), delay_max=timedelta(seconds=10), multiplier=2)

    waits = [backoff_delay(policy, failures, 0.5).total_seconds() for failures in range(1, 7)]

    assert waits == [0.5, 1, 2, 4, 5, 5]


@pytest.mark.parametrize(("failures", "draw"), [(0, 0.5), (-1, 0.5), (1, 1.0), (1, -0.1), (1, float("nan"))])
def test_counts_below_one_and_draws_outside_the_unit_interval_are_refused(failures: int, draw: float) -> None:
    with pytest.raises(ValueError):
        backoff_delay(RetryPolicy(), failures, draw)


@pytest.mark.parametrize(
    "limits",
    [
        {"max_attempts": 0},
        {"multiplier": 0.5},
        {"delay_initial": timedelta(0)},
        {"delay_initial": timedelta(seconds=2), "delay_max": timedelta(seconds=1)},
    ],
)
def test_a_policy_without_sense_is_refused(limits: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        RetryPolicy(**limits)  # type: ignore[arg-type]
