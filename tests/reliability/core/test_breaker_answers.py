"""What a breaker answers and records, word for word: callers wait by it and people read it afterwards."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reliability.core.breaker import (
    REFUSED_PROBE_WAIT_MS,
    Admission,
    Breaker,
    BreakerSettings,
    BreakerState,
    Cause,
    Change,
    Counts,
    Outcome,
    PinnedState,
    PinOrder,
    parse_state,
)

NOW = 1_000_000
CLOSED, OPEN, HALF_OPEN = BreakerState


def opened(settings: BreakerSettings | None = None) -> Breaker:
    breaker = Breaker(settings or BreakerSettings())
    breaker.record(NOW, 0, 2, 5)
    breaker.take_changes()
    return breaker


@pytest.mark.parametrize("state", [*BreakerState, *PinnedState])
def test_every_state_is_found_by_its_name(state: BreakerState | PinnedState) -> None:
    assert parse_state(state.value) is state


def test_a_state_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="ajar"):
        parse_state("ajar")


def test_each_state_answers_with_itself_and_how_long_asking_is_pointless() -> None:
    breaker = opened(BreakerSettings(success_threshold=1))

    assert Breaker().admit(NOW, "a") == Admission(True, False, CLOSED, 0)
    assert breaker.admit(NOW + 12_000, "a") == Admission(False, False, OPEN, 18_000)
    assert breaker.admit(NOW + 30_000, "a") == Admission(True, True, HALF_OPEN, 0)
    assert breaker.admit(NOW + 30_000, "b") == Admission(False, False, HALF_OPEN, REFUSED_PROBE_WAIT_MS)
    assert breaker.admit(NOW + 90_000, "c") == Admission(False, False, OPEN, 30_000)


@pytest.mark.parametrize("state", list(PinnedState))
def test_a_pin_answers_for_the_rest_of_its_time(state: PinnedState) -> None:
    breaker, endless = Breaker(), Breaker()
    breaker.set_pin(NOW, PinOrder(state, NOW + 5000))
    endless.set_pin(NOW, PinOrder(state))
    granted = state is not PinnedState.FORCED_OPEN

    assert breaker.admit(NOW + 1000, "a") == Admission(granted, False, state, 4000)
    assert endless.admit(NOW + 1000, "a") == Admission(granted, False, state, None)
    assert breaker.remaining_ms(NOW + 6000) == 0


def test_nothing_is_left_to_wait_for_when_calls_may_go() -> None:
    breaker = opened()

    assert Breaker().remaining_ms(NOW) == 0
    assert breaker.remaining_ms(NOW + 40_000) == 0
    breaker.admit(NOW + 40_000, "a")
    assert breaker.remaining_ms(NOW + 40_000) == 0


def test_a_life_is_recorded_with_instants_causes_and_counts() -> None:
    breaker = Breaker(BreakerSettings(success_threshold=1))
    breaker.record(NOW, 0, 2, 5, slow=1)
    breaker.admit(NOW + 30_000, "a")
    breaker.report(NOW + 30_001, breaker.version, "a", Outcome.FAILURE)
    breaker.admit(NOW + 60_001, "b")
    breaker.report(NOW + 60_002, breaker.version, "b", Outcome.SUCCESS)
    row = Counts(consecutive_failures=5)

    assert breaker.take_changes() == [
        Change(1, CLOSED, OPEN, Cause.CONSECUTIVE_FAILURES, Counts(2, 5, 1, 5), NOW),
        Change(2, OPEN, HALF_OPEN, Cause.COOLDOWN_OVER, row, NOW + 30_000),
        Change(3, HALF_OPEN, OPEN, Cause.PROBE_FAILED, row, NOW + 30_001),
        Change(4, OPEN, HALF_OPEN, Cause.COOLDOWN_OVER, row, NOW + 60_001),
        Change(5, HALF_OPEN, CLOSED, Cause.PROBES_SUCCEEDED, row, NOW + 60_002),
    ]


def test_what_people_do_is_recorded_with_what_it_replaced() -> None:
    breaker = opened()
    forced, metrics = PinnedState.FORCED_OPEN, PinnedState.METRICS_ONLY
    breaker.set_pin(NOW + 1, PinOrder(forced))
    breaker.set_pin(NOW + 2, PinOrder(metrics))
    breaker.record(NOW + 3, breaker.version, 1, 2)
    breaker.remove_pin(NOW + 4)
    breaker.record(NOW + 5, breaker.version, 3, 1)
    breaker.reset(NOW + 6)

    assert breaker.take_changes() == [
        Change(2, OPEN, forced, Cause.PINNED, Counts(), NOW + 1),
        Change(3, forced, metrics, Cause.PINNED, Counts(), NOW + 2),
        Change(4, metrics, CLOSED, Cause.UNPINNED, Counts(1, 2, 0, 2), NOW + 4),
        Change(5, CLOSED, CLOSED, Cause.RESET, Counts(3, 1, 0, 1), NOW + 6),
    ]


def test_removing_a_pin_that_is_not_there_changes_nothing() -> None:
    breaker = opened()
    breaker.remove_pin(NOW)

    assert breaker.take_changes() == []
    assert breaker.state is OPEN


def test_a_call_counts_in_the_window_for_ten_buckets_and_not_longer() -> None:
    breaker = Breaker(BreakerSettings(failure_threshold=100, window_seconds=20))
    breaker.record(NOW + 1999, 0, 3, 1, slow=2)

    assert breaker.counts(NOW + 19_999) == Counts(3, 1, 2, 1)
    assert breaker.counts(NOW + 20_000) == Counts(0, 0, 0, 1)
    breaker.record(NOW + 20_000, 0, 1, 0)
    assert len(breaker.window) == 1, "what is over is not kept"


def test_a_new_length_of_the_window_starts_it_anew_and_the_same_length_keeps_it() -> None:
    breaker = Breaker()
    breaker.record(NOW, 0, 3, 1)
    breaker.configure(BreakerSettings(failure_threshold=7))
    assert breaker.counts(NOW).calls == 4

    breaker.configure(BreakerSettings(window_seconds=20))
    assert breaker.counts(NOW) == Counts(0, 0, 0, 1)


@given(st.integers(10, 10_000), st.floats(0, 1), st.floats(0.1, 100))
@example(10_000, 0.4999, 50.0)
@example(10_000, 0.5, 50.0)
def test_a_share_opens_it_from_its_limit_on_and_not_just_below(calls: int, share: float, percentage: float) -> None:
    failures = round(share * calls)
    settings = BreakerSettings(failure_threshold=1_000_000, error_threshold_percentage=percentage)
    failing = Breaker(settings)
    slow = Breaker(BreakerSettings(slow_call_seconds=1, slow_call_percentage=percentage))
    failing.record(NOW, 0, calls - failures, failures)
    slow.record(NOW, 0, calls, 0, slow=failures)

    reached = 100 * failures >= percentage * calls
    assert (failing.state is OPEN) == (slow.state is OPEN) == reached


def test_slow_calls_alone_make_no_quorum_of_hosts_without_a_name() -> None:
    breaker = Breaker(BreakerSettings(quorum=2, failure_threshold=2))

    assert breaker.record(NOW, 0, 0, 1) is None
    assert breaker.record(NOW, 0, 0, 1) is Cause.CONSECUTIVE_FAILURES
    assert breaker.failing_hosts == {"": NOW}
    assert breaker.counts(NOW).slow == 0


def test_a_host_whose_last_failure_left_the_window_is_no_part_of_a_quorum() -> None:
    breaker = Breaker(BreakerSettings(quorum=2, failure_threshold=2))
    breaker.record(NOW, 0, 0, 1, host="a")

    assert breaker.record(NOW + 10_000, 0, 0, 1, host="b") is Cause.CONSECUTIVE_FAILURES
    assert breaker.record(NOW + 19_999, 0, 0, 1, host="a") is None
    assert breaker.state is OPEN


def test_as_many_successes_close_it_as_are_asked_for() -> None:
    breaker = opened(BreakerSettings(success_threshold=3))
    for number in range(3):
        assert breaker.admit(NOW + 30_000, f"probe {number}").is_probe
    for number in range(3):
        assert (breaker.state, breaker.successes) == (HALF_OPEN, number)
        breaker.report(NOW + 30_000, breaker.version, f"probe {number}", Outcome.SUCCESS)
    assert breaker.state is CLOSED


@pytest.mark.parametrize("later", [BreakerState.OPEN, PinnedState.METRICS_ONLY])
def test_a_report_counts_only_in_the_version_that_lent_the_permit(later: BreakerState | PinnedState) -> None:
    breaker = opened()
    breaker.admit(NOW + 30_000, "a")
    lent = breaker.version
    if later is BreakerState.OPEN:
        breaker.trip(NOW + 30_000, Cause.ERROR_RATE)
    else:
        breaker.set_pin(NOW + 30_000, PinOrder(PinnedState.METRICS_ONLY))
    before = breaker.version
    for version in (lent, before):
        breaker.report(NOW + 30_001, version, "a", Outcome.FAILURE)

    assert (breaker.version, breaker.effective_state) == (before, later)


def test_a_permit_of_an_older_half_open_is_worth_nothing_in_a_newer_one() -> None:
    breaker = opened()
    breaker.admit(NOW + 30_000, "a")
    lent = breaker.version
    breaker.trip(NOW + 30_000, Cause.ERROR_RATE)
    breaker.admit(NOW + 60_000, "a")
    breaker.report(NOW + 60_000, lent, "a", Outcome.FAILURE)

    assert breaker.state is HALF_OPEN


@pytest.mark.parametrize("remaining_ms", [-1, 0])
def test_an_opening_that_is_over_is_not_restored(remaining_ms: int) -> None:
    breaker = Breaker()
    breaker.restore_opening(NOW, remaining_ms)

    assert (breaker.state, breaker.changes) == (CLOSED, [])


def test_an_opening_is_restored_to_its_last_millisecond_and_never_beyond_a_cooldown() -> None:
    short, long = Breaker(), Breaker()
    short.restore_opening(NOW, 1)
    long.restore_opening(NOW, 10**9)

    assert short.remaining_ms(NOW) == 1
    assert long.remaining_ms(NOW) == 30_000


def test_only_a_closed_breaker_without_a_pin_takes_a_restored_opening() -> None:
    half_open, pinned = opened(), Breaker()
    half_open.admit(NOW + 30_000, "a")
    pinned.set_pin(NOW, PinOrder(PinnedState.DISABLED))
    for breaker in (opened(), half_open, pinned):
        before = (breaker.state, breaker.version)
        breaker.restore_opening(NOW + 30_000, 7000)
        assert (breaker.state, breaker.version) == before


def test_it_trips_once_unless_it_is_pinned() -> None:
    breaker, pinned = Breaker(), Breaker()
    pinned.set_pin(NOW, PinOrder(PinnedState.METRICS_ONLY))
    for _ in range(2):
        breaker.trip(NOW, Cause.SLOW_CALLS)
        pinned.trip(NOW, Cause.SLOW_CALLS)

    assert [change.cause for change in breaker.take_changes()] == [Cause.SLOW_CALLS]
    assert [change.cause for change in pinned.take_changes()] == [Cause.PINNED]


@pytest.mark.parametrize("end_ms", [None, NOW + 1000])
def test_a_pin_that_ended_is_gone(end_ms: int | None) -> None:
    breaker = Breaker()
    breaker.set_pin(NOW, PinOrder(PinnedState.DISABLED, end_ms))
    breaker.remove_pin(NOW + 1000)

    assert breaker.pin is None
    assert breaker.effective_state is CLOSED
