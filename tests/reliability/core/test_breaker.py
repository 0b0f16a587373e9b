"""The circuit breaker's rules, one by one, on a clock moved by hand."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core.breaker import (
    REFUSED_PROBE_WAIT_MS,
    Breaker,
    BreakerSettings,
    BreakerState,
    Cause,
    Change,
    Outcome,
    PinnedState,
    PinOrder,
)

START = 1_000_000


def opened(settings: BreakerSettings | None = None, at_ms: int = START) -> Breaker:
    breaker = Breaker(settings or BreakerSettings())
    breaker.record(at_ms, breaker.version, 0, breaker.settings.failure_threshold)
    assert breaker.state is BreakerState.OPEN
    return breaker


def half_open(settings: BreakerSettings | None = None) -> tuple[Breaker, int]:
    breaker = opened(settings)
    now = START + breaker.settings.cooldown_ms
    assert breaker.admit(now, "first").is_probe
    return breaker, now


def causes(breaker: Breaker) -> list[Cause]:
    return [change.cause for change in breaker.take_changes()]


def test_five_failures_in_a_row_open_it_however_few_calls_there_are() -> None:
    breaker = Breaker()
    for _ in range(4):
        breaker.record(START, 0, 0, 1)
    assert breaker.state is BreakerState.CLOSED

    breaker.record(START, 0, 0, 1)

    assert breaker.state is BreakerState.OPEN
    (change,) = breaker.take_changes()
    assert (change.from_state, change.to_state, change.version) == (BreakerState.CLOSED, BreakerState.OPEN, 1)
    assert (change.cause, change.counts.failures) == (Cause.CONSECUTIVE_FAILURES, 5)


def test_a_success_between_starts_the_row_anew() -> None:
    breaker = Breaker()
    breaker.record(START, 0, 0, 4)
    breaker.record(START, 0, 1, 4)

    assert breaker.consecutive_failures == 4
    assert breaker.state is BreakerState.CLOSED


def test_late_news_of_a_success_before_the_last_failure_ends_no_row() -> None:
    breaker = Breaker()
    breaker.record(START, 0, 0, 4)
    breaker.record(START + 60, 0, 3, 0, success_age_ms=61)
    assert breaker.consecutive_failures == 4

    breaker.record(START + 60, 0, 3, 0, success_age_ms=60)
    assert breaker.consecutive_failures == 0


def test_half_of_ten_calls_failing_opens_it_without_any_row() -> None:
    breaker = Breaker()
    for _ in range(4):
        breaker.record(START, 0, 1, 1)
    assert breaker.state is BreakerState.CLOSED, "eight calls are too few to judge a share"

    breaker.record(START, 0, 1, 1)

    assert causes(breaker) == [Cause.ERROR_RATE]


def test_a_success_that_completes_the_volume_opens_it_as_well() -> None:
    breaker = Breaker(BreakerSettings(failure_threshold=100, volume_threshold=2))
    breaker.record(START, 0, 0, 1)
    breaker.record(START, 0, 1, 0)

    assert causes(breaker) == [Cause.ERROR_RATE]


def test_failures_that_left_the_window_count_for_no_share() -> None:
    breaker = Breaker(BreakerSettings(failure_threshold=100))
    breaker.record(START, 0, 0, 9)
    breaker.record(START + 10_000, 0, 1, 0)

    assert breaker.counts(START + 10_000).calls == 1
    assert breaker.state is BreakerState.CLOSED


def test_slow_successes_open_it_when_their_rule_is_on() -> None:
    settings = BreakerSettings(slow_call_seconds=1)
    breaker, indifferent = Breaker(settings), Breaker()
    for subject in (breaker, indifferent):
        subject.record(START, 0, 10, 0, slow=5)

    assert causes(breaker) == [Cause.SLOW_CALLS]
    assert indifferent.state is BreakerState.CLOSED


def test_open_refuses_until_the_cooldown_is_over_and_then_lets_probes_in() -> None:
    breaker = opened()

    refused = breaker.admit(START + 29_999, "early")
    assert (refused.is_granted, refused.wait_ms) == (False, 1)

    admission = breaker.admit(START + 30_000, "probe")
    assert (admission.is_granted, admission.is_probe) == (True, True)
    assert breaker.state is BreakerState.HALF_OPEN


def test_three_probes_at_once_and_no_more() -> None:
    breaker, now = half_open()
    assert [breaker.admit(now, token).is_probe for token in ("second", "third")] == [True, True]

    refused = breaker.admit(now, "fourth")

    assert (refused.is_granted, refused.wait_ms) == (False, REFUSED_PROBE_WAIT_MS)


def test_three_successful_probes_close_it_and_forget_the_failures() -> None:
    breaker, now = half_open()
    for token in ("first", "second", "third"):
        breaker.admit(now, token)
        breaker.report(now, breaker.version, token, Outcome.SUCCESS)

    assert breaker.state is BreakerState.CLOSED
    assert breaker.counts(now).calls == breaker.consecutive_failures == 0
    assert causes(breaker)[-1] is Cause.PROBES_SUCCEEDED


def test_one_failed_probe_opens_it_and_voids_the_others() -> None:
    breaker, now = half_open()
    version = breaker.version
    breaker.admit(now, "second")
    breaker.report(now, version, "first", Outcome.FAILURE)
    breaker.report(now, version, "second", Outcome.SUCCESS)

    assert breaker.state is BreakerState.OPEN
    assert breaker.successes == 0
    assert breaker.remaining_ms(now) == 30_000


def test_an_inconclusive_probe_only_gives_its_permit_back() -> None:
    breaker, now = half_open(BreakerSettings(success_threshold=1))
    assert not breaker.admit(now, "second").is_granted

    breaker.report(now, breaker.version, "first", Outcome.INCONCLUSIVE)

    assert (breaker.state, breaker.successes) == (BreakerState.HALF_OPEN, 0)
    assert breaker.admit(now, "second").is_probe


def test_the_permit_of_a_dead_prober_ends_with_its_lease() -> None:
    breaker, now = half_open(BreakerSettings(success_threshold=1, probe_lease_seconds=2))
    assert not breaker.admit(now + 1_999, "other").is_granted

    assert breaker.admit(now + 2_000, "other").is_probe

    breaker.report(now + 2_000, breaker.version, "first", Outcome.SUCCESS)
    assert breaker.state is BreakerState.HALF_OPEN, "the late report of the first changes nothing"


def test_half_open_without_a_success_goes_back_to_open() -> None:
    breaker, now = half_open()

    refused = breaker.admit(now + 60_000, "late")

    assert not refused.is_granted
    assert causes(breaker)[-1] is Cause.HALF_OPEN_LIMIT


def test_each_success_starts_the_limit_of_half_open_anew() -> None:
    breaker, now = half_open()
    breaker.admit(now + 59_000, "second")
    breaker.report(now + 59_000, breaker.version, "second", Outcome.SUCCESS)

    assert breaker.admit(now + 100_000, "third").is_probe


def test_little_traffic_is_no_reason_to_open_a_half_open_breaker_whose_probes_succeed() -> None:
    breaker, now = half_open()
    for minutes, token in enumerate(("first", "second", "third")):
        at = now + minutes * 600_000
        assert breaker.admit(at, token).is_granted
        breaker.report(at, breaker.version, token, Outcome.SUCCESS)

    assert breaker.state is BreakerState.CLOSED


def test_a_growing_cooldown_doubles_up_to_its_limit_and_starts_anew_after_recovery() -> None:
    settings = BreakerSettings(
        success_threshold=1, cooldown_seconds=10, cooldown_multiplier=2, cooldown_max_seconds=30, failure_threshold=1
    )
    breaker, now = opened(settings), START
    waits = []
    for turn in range(4):
        waits.append(breaker.remaining_ms(now) or 0)
        now += waits[-1]
        breaker.admit(now, str(turn))
        breaker.report(now, breaker.version, str(turn), Outcome.FAILURE)
    assert waits == [10_000, 20_000, 30_000, 30_000]

    now += 30_000
    breaker.admit(now, "last")
    breaker.report(now, breaker.version, "last", Outcome.SUCCESS)
    breaker.record(now, breaker.version, 0, 1)
    assert breaker.remaining_ms(now) == 10_000


def test_outcomes_of_calls_admitted_in_another_version_count_for_nothing() -> None:
    breaker = Breaker()
    breaker.reset(START)
    breaker.record(START, 0, 0, 50)

    assert breaker.counts(START).calls == 0
    assert breaker.state is BreakerState.CLOSED


def test_failures_on_one_host_do_not_open_it_for_all_when_a_quorum_is_asked() -> None:
    breaker = Breaker(BreakerSettings(quorum=2))

    assert breaker.record(START, 0, 0, 5, host="a") is Cause.CONSECUTIVE_FAILURES
    assert breaker.state is BreakerState.CLOSED

    assert breaker.record(START, 0, 0, 1, host="b") is None
    assert breaker.state is BreakerState.OPEN


@pytest.mark.parametrize(
    ("state", "granted", "after"),
    [
        (PinnedState.FORCED_OPEN, False, BreakerState.HALF_OPEN),
        (PinnedState.DISABLED, True, BreakerState.CLOSED),
        (PinnedState.METRICS_ONLY, True, BreakerState.CLOSED),
    ],
)
def test_a_pin_stands_above_every_outcome_until_its_time_is_over(
    state: PinnedState, granted: bool, after: BreakerState
) -> None:
    breaker = Breaker()
    breaker.set_pin(START, PinOrder(state, START + 1000))
    for moment in range(START, START + 1000, 100):
        breaker.record(moment, breaker.version, 0, 50)
        admission = breaker.admit(moment, "any")
        assert (admission.is_granted, admission.state) == (granted, state)

    breaker.settle(START + 1000)

    assert breaker.effective_state is after
    assert causes(breaker) == [Cause.PINNED, Cause.PIN_EXPIRED]


def test_metrics_only_counts_and_disabled_does_not() -> None:
    counted = []
    for state in (PinnedState.METRICS_ONLY, PinnedState.DISABLED):
        breaker = Breaker()
        breaker.set_pin(START, PinOrder(state))
        breaker.record(START, breaker.version, 2, 3)
        counted.append(breaker.counts(START).calls)

    assert counted == [5, 0]


def test_reset_closes_it_and_leaves_a_pin() -> None:
    breaker = opened()
    breaker.reset(START)
    assert breaker.admit(START, "any").is_granted

    breaker.set_pin(START, PinOrder(PinnedState.FORCED_OPEN))
    breaker.reset(START)
    assert not breaker.admit(START, "any").is_granted


def test_a_lower_cooldown_takes_effect_on_an_opening_under_way() -> None:
    breaker = opened()
    breaker.configure(BreakerSettings(cooldown_seconds=1))

    assert breaker.admit(START + 1000, "probe").is_probe


def test_a_restored_opening_lasts_for_the_rest_of_the_cooldown() -> None:
    breaker = Breaker()
    breaker.restore_opening(START, 7_000)

    assert breaker.remaining_ms(START) == 7_000
    assert causes(breaker) == [Cause.RESTORED]


@given(back_ms=st.integers(0, 10**9))
def test_a_clock_set_back_never_prolongs_an_opening_beyond_one_cooldown(back_ms: int) -> None:
    breaker = opened(at_ms=START + back_ms)

    assert 0 <= (breaker.remaining_ms(START) or 0) <= 30_000
    breaker.admit(START, "early")
    assert breaker.admit(START + 30_000, "probe").is_granted


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2000)), max_size=40))
def test_it_opens_exactly_when_a_rule_demands_it(batches: list[tuple[int, int, int]]) -> None:
    breaker = Breaker()
    seen: list[tuple[int, int, int]] = []
    now, row = START, 0
    for successes, failures, pause in batches:
        now += pause
        seen.append((now // 1000, successes, failures))
        row = (0 if successes else row) + failures
        live = [entry for entry in seen if entry[0] > now // 1000 - 10]
        calls, bad = sum(ok + no for _, ok, no in live), sum(no for _, _, no in live)
        breaker.record(now, 0, successes, failures)
        demanded = row >= 5 or (calls >= 10 and 2 * bad >= calls)
        assert (breaker.state is BreakerState.OPEN) == demanded
        if demanded:
            return


def test_each_change_has_the_next_version() -> None:
    breaker = opened()
    breaker.admit(START + 30_000, "probe")
    breaker.reset(START + 30_000)
    changes: list[Change] = breaker.take_changes()

    assert [change.version for change in changes] == [1, 2, 3]
    assert all(one.to_state is two.from_state for one, two in pairwise(changes))
    assert breaker.take_changes() == []
