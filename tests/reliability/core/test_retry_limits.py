"""Deadlines, named waits, what may be repeated, and the pace of a recovery."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core.catalog import CATALOG, UnknownErrorCodeError, get_definition
from reliability.core.classification import EFFECTFUL_OPERATIONS, ClassifiedError, Operation, RawFailure
from reliability.core.retry import (
    NO_RETRY,
    RETRY_AFTER_LIMIT,
    Pacer,
    RetryPolicy,
    is_retryable,
    next_delay,
    pace_delay,
    parse_retry_after,
    policy_for,
    retry_cost,
)
from tests.reliability.core.test_retry import DRAWS, policies

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
SPANS = st.timedeltas(timedelta(0), timedelta(hours=1))


def classified(code: str, *, ambiguous: bool, retryable: bool = True) -> ClassifiedError:
    definition = get_definition(code)
    raw = RawFailure("http", Operation.SUBMIT)
    return ClassifiedError(
        definition, definition.severity, definition.strategy, retryable, ambiguous, raw, rule="given"
    )


@given(policies(), SPANS, st.integers(1, 60), SPANS, DRAWS, SPANS)
def test_no_wait_ends_after_the_time_limit(
    policy: RetryPolicy, limit: timedelta, failures: int, elapsed: timedelta, draw: float, named: timedelta
) -> None:
    limited = RetryPolicy(
        policy.max_attempts, policy.delay_initial, policy.delay_max, policy.multiplier, limit + timedelta(seconds=1)
    )

    delay = next_delay(limited, failures, elapsed, draw, named)

    assert limited.time_limit is not None
    if delay is not None:
        assert elapsed + delay < limited.time_limit
        assert named <= delay <= named + policy.delay_max
        assert failures < policy.max_attempts


@given(policies(), DRAWS)
def test_attempts_end_with_the_policy_s_number(policy: RetryPolicy, draw: float) -> None:
    waits = [next_delay(policy, failures, timedelta(0), draw) for failures in range(1, policy.max_attempts + 1)]

    assert waits[-1] is None
    assert None not in waits[:-1]


@given(st.integers(0, 70) | st.integers(0, 10**12 - 1), st.integers(0, 999_999))
def test_seconds_in_retry_after_are_kept_up_to_the_limit(whole: int, fraction: int) -> None:
    wait = parse_retry_after(f" {whole}.{fraction:06d} ", NOW)

    assert wait is not None
    expected = min(timedelta(seconds=whole, microseconds=fraction), RETRY_AFTER_LIMIT)
    assert abs(wait - expected) <= timedelta(microseconds=1)


@given(st.timedeltas(timedelta(days=-400), timedelta(days=400)))
def test_a_date_in_retry_after_counts_from_now_and_is_never_negative(away: timedelta) -> None:
    away = timedelta(seconds=round(away.total_seconds()))

    wait = parse_retry_after(format_datetime(NOW + away, usegmt=True), NOW)

    assert wait == min(max(away, timedelta(0)), RETRY_AFTER_LIMIT)


@given(st.text())
def test_any_other_text_in_retry_after_is_no_wait_or_one_within_the_limit(text: str) -> None:
    wait = parse_retry_after(text, NOW)

    assert wait is None or timedelta(0) <= wait <= RETRY_AFTER_LIMIT


@pytest.mark.parametrize("text", ["", "soon", "-5", "1e9", "0x10", "Mon, 99 Mar 2026 14:30:00 GMT", "١٢"])
def test_text_that_names_no_wait_is_no_wait(text: str) -> None:
    assert parse_retry_after(text, NOW) is None


@pytest.mark.parametrize("operation", list(Operation))
def test_a_code_that_leaves_an_effect_open_is_never_retried_blindly(operation: Operation) -> None:
    for code, definition in CATALOG.items():
        policy = policy_for(code, operation)

        if definition.ambiguous and operation in EFFECTFUL_OPERATIONS:
            assert policy == NO_RETRY
        assert (policy.max_attempts > 1) <= definition.retryable


def test_a_told_off_caller_waits_longer_than_a_cut_off_one() -> None:
    throttled, cut = (policy_for(code, Operation.QUERY) for code in ("RATE_LIMIT_EXCEEDED", "NETWORK_UNREACHABLE"))

    assert throttled.delay_initial > cut.delay_initial


def test_a_code_nobody_knows_has_no_policy() -> None:
    with pytest.raises(UnknownErrorCodeError):
        policy_for("NETWORK_NO_SUCH_CODE", Operation.QUERY)


@given(st.booleans(), st.sampled_from([None, frozenset({"TIMEOUT_READ"}), frozenset({"NETWORK_UNREACHABLE"})]))
def test_an_unknown_outcome_is_repeated_only_where_repeating_changes_nothing(
    retryable: bool, codes: frozenset[str] | None
) -> None:
    error = classified("TIMEOUT_READ", ambiguous=True, retryable=retryable)
    policy = RetryPolicy(retryable_codes=codes)

    assert not is_retryable(policy, error)
    expected = retryable if codes is None else "TIMEOUT_READ" in codes
    assert is_retryable(policy, error, idempotent=True) is expected


def test_a_timeout_costs_the_budget_twice() -> None:
    assert retry_cost(classified("TIMEOUT_READ", ambiguous=False)) == 2
    assert retry_cost(classified("NETWORK_UNREACHABLE", ambiguous=False)) == 1


@given(
    st.lists(DRAWS, min_size=2, max_size=300),
    st.floats(0.5, 500),
    st.floats(0.01, 20),
    st.floats(0, 30),
)
def test_waiting_jobs_come_back_at_the_pace_in_every_window(
    draws: list[float], per_second: float, window: float, cooldown: float
) -> None:
    hour = timedelta(hours=1)
    start = timedelta(seconds=cooldown)
    moments = sorted(
        pace_delay(start, position, per_second, draw, hour).total_seconds() for position, draw in enumerate(draws)
    )

    assert moments[0] >= start.total_seconds()
    for first in moments:
        assert sum(first <= moment < first + window for moment in moments) <= per_second * window + 2 + 1e-3


@given(st.integers(0, 10**6), st.floats(0.1, 1000), DRAWS, st.timedeltas(timedelta(seconds=1), timedelta(minutes=5)))
def test_nobody_waits_longer_than_the_spread_beyond_the_cool_down(
    position: int, per_second: float, draw: float, spread: timedelta
) -> None:
    assert timedelta(0) <= pace_delay(timedelta(0), position, per_second, draw, spread) <= spread


@pytest.mark.parametrize(("position", "per_second", "draw"), [(-1, 1.0, 0.5), (0, 0.0, 0.5), (0, 1.0, 1.0)])
def test_a_pace_without_sense_is_refused(position: float, per_second: float, draw: float) -> None:
    with pytest.raises(ValueError):
        pace_delay(timedelta(0), position, per_second, draw)


@given(st.floats(0, 10**6), st.floats(0, 50), st.lists(DRAWS, min_size=1, max_size=200), st.integers(1, 8))
def test_a_pacer_never_lets_work_back_before_the_cool_down_nor_in_a_herd(
    now: float, cooldown: float, draws: list[float], processes: int
) -> None:
    pacer, start = Pacer(40.0), timedelta(seconds=cooldown)

    waits = [pacer.delay(now, start, draw, processes) for draw in draws]

    assert min(waits) >= start
    pace = 40.0 / processes
    within_spread = [wait.total_seconds() for wait in waits[: int(pace * 50)]]
    for first in within_spread:
        assert sum(first <= wait < first + 1 for wait in within_spread) <= pace + 3


def test_ten_thousand_jobs_of_four_processes_come_back_evenly() -> None:
    pacers = [Pacer(200.0, spread_max=timedelta(hours=1)) for _ in range(4)]
    cooldown = timedelta(seconds=30)
    moments = sorted(
        pacer.delay(0.0, cooldown, (number * 0.37) % 1.0, 4).total_seconds()
        for pacer in pacers
        for number in range(2500)
    )

    assert moments[0] >= 30
    assert 79 <= moments[-1] <= 81
    busiest = max(sum(second <= moment < second + 1 for moment in moments) for second in range(30, 80))
    assert busiest <= 204


def test_a_later_cool_down_starts_the_queue_anew() -> None:
    pacer = Pacer(1.0)
    pacer.delay(0.0, timedelta(0), 0.0)

    assert pacer.delay(100.0, timedelta(seconds=5), 0.0) == timedelta(seconds=5)


def test_without_a_named_wait_the_backoff_is_all_there_is() -> None:
    policy = RetryPolicy(delay_initial=timedelta(seconds=1), delay_max=timedelta(seconds=8))

    assert next_delay(policy, 2, timedelta(0), 0.5) == timedelta(seconds=1)
    assert next_delay(policy, 2, timedelta(0), 0.5, timedelta(seconds=-5)) == timedelta(seconds=1)
    assert next_delay(policy, 2, timedelta(0), 0.5, timedelta(seconds=3)) == timedelta(seconds=4)


def test_a_wait_that_ends_with_the_time_limit_comes_too_late() -> None:
    policy = RetryPolicy(time_limit=timedelta(seconds=10))

    assert next_delay(policy, 1, timedelta(seconds=9), 0.0, timedelta(seconds=1)) is None
    assert next_delay(policy, 1, timedelta(seconds=9), 0.0, timedelta(seconds=0.9)) == timedelta(seconds=0.9)


@pytest.mark.parametrize("limit", [timedelta(0), timedelta(seconds=-1)])
def test_no_time_at_all_is_refused(limit: timedelta) -> None:
    with pytest.raises(ValueError, match="time_limit"):
        RetryPolicy(time_limit=limit)


def test_a_date_without_a_zone_is_in_utc_and_another_zone_is_heeded() -> None:
    assert parse_retry_after("Mon, 02 Mar 2026 14:30:20", NOW) == timedelta(seconds=20)
    assert parse_retry_after("Mon, 02 Mar 2026 16:30:20 +0200", NOW) == timedelta(seconds=20)


def test_a_question_is_repeated_after_an_unknown_end_within_the_limits_of_questions() -> None:
    policy = policy_for("TIMEOUT_READ", Operation.QUERY)

    assert (policy.max_attempts, policy.time_limit) == (4, timedelta(seconds=15))
    assert policy_for("TIMEOUT_READ", Operation.SUBMIT) == NO_RETRY
    assert policy_for("NETWORK_CONNECT_REFUSED", Operation.SUBMIT).time_limit == timedelta(seconds=30)
    assert policy_for("RATE_LIMIT_EXCEEDED", Operation.QUERY).delay_max == timedelta(seconds=60)


@pytest.mark.parametrize("per_second", [0.0, -1.0])
def test_a_pacer_without_a_pace_is_refused(per_second: float) -> None:
    with pytest.raises(ValueError, match="per_second"):
        Pacer(per_second)


def test_a_pacer_gives_one_slot_after_the_other_and_then_looks_again_within_the_spread() -> None:
    pacer = Pacer(2.0, spread_max=timedelta(seconds=2))
    cooldown = timedelta(seconds=10)

    waits = [pacer.delay(100.0, cooldown, 0.5).total_seconds() for _ in range(7)]

    assert waits == [10.25, 10.75, 11.25, 11.75, 11.0, 11.0, 11.0], "after four slots: half of the spread, by the draw"
    assert pacer.delay(100.5, cooldown, 0.5) == timedelta(seconds=11.75), "those beyond took no slot"
    assert pacer.delay(101.0, timedelta(seconds=9.5), 0.5) == timedelta(seconds=10.5), "the same queue, full again"


@given(st.floats(2, 8), DRAWS)
def test_of_what_lies_beyond_the_spread_each_comes_at_its_share_of_it(spread: float, draw: float) -> None:
    longest = timedelta(seconds=spread)

    assert abs(pace_delay(timedelta(0), 1000, 1.0, draw, longest) - draw * longest) <= timedelta(microseconds=1)


def test_the_last_slot_that_fits_is_kept() -> None:
    assert pace_delay(timedelta(0), 4, 2.0, 0.0, timedelta(seconds=2)) == timedelta(seconds=2)
