"""What must be known soon is looked at often."""

from hypothesis import given
from hypothesis import strategies as st

from reliability.core.looks import (
    HASTENED,
    INTERVALS,
    TICK_SECONDS,
    WITHIN_A_SECOND,
    WITHIN_FIVE_SECONDS,
    Rounds,
)


def test_what_must_be_known_within_a_second_is_looked_at_twice_in_it() -> None:
    assert {"check_streams", "watch_disruptions"} <= set(WITHIN_A_SECOND)
    assert all(every <= 0.5 for every in WITHIN_A_SECOND.values())


def test_what_must_be_known_within_five_seconds_leaves_time_to_tell_of_it() -> None:
    telling = max(WITHIN_FIVE_SECONDS["run_due_escalations"], TICK_SECONDS)
    assert all(every + telling + 2 * TICK_SECONDS <= 5 for every in WITHIN_FIVE_SECONDS.values())


@given(st.sampled_from(sorted(INTERVALS)), st.lists(st.floats(0, 0.2), min_size=20, max_size=80))
def test_rounds_that_come_late_never_let_a_look_wait_a_round_longer_than_its_interval(
    name: str, delays: list[float]
) -> None:
    rounds, now, last = Rounds(), 1_000.0, 1_000.0
    assert rounds.is_due(name, now)
    for delay in delays:
        now += TICK_SECONDS + delay
        if rounds.is_due(name, now):
            last = now
        assert now - last < INTERVALS[name]


def test_all_is_due_again_once_it_is_forgotten_and_what_is_hastened_at_once() -> None:
    rounds = Rounds()
    assert all(rounds.is_due(name, 50.0) for name in INTERVALS)
    assert not any(rounds.is_due(name, 50.1) for name in INTERVALS)

    rounds.hasten(*HASTENED)
    assert {name for name in INTERVALS if rounds.is_due(name, 50.2)} == set(HASTENED)

    rounds.forget()
    assert all(rounds.is_due(name, 50.3) for name in INTERVALS)


def test_only_a_newer_number_is_new() -> None:
    rounds = Rounds()
    assert [rounds.is_new(number) for number in (3, 3, 4, 2, 4)] == [True, False, True, False, True]
