"""When an unknown outcome is asked about again, and when absence is believed."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from brokers.core.lookup import MISSES_NEEDED, absence_is_proven, delay_after_miss, lookup_delay

SECOND = timedelta(seconds=1)
SETTLE = timedelta(seconds=5)
LATENCIES = st.lists(st.timedeltas(timedelta(0), SECOND / 2), min_size=40, max_size=40)
AGES = st.timedeltas(timedelta(0), timedelta(days=1))


@given(st.integers(0, 10_000))
def test_look_ups_get_rarer_and_never_stop(misses: int) -> None:
    assert timedelta(0) < lookup_delay(misses) <= lookup_delay(misses + 1) <= timedelta(seconds=5)


@given(st.integers(0, MISSES_NEEDED - 1), AGES, AGES)
def test_too_few_misses_prove_nothing_however_old(misses: int, age: timedelta, settle: timedelta) -> None:
    assert not absence_is_proven(misses=misses, age=age, settle_time=settle)


@given(st.integers(0, 1000), AGES, AGES)
def test_nothing_is_proven_before_the_settle_time(misses: int, age: timedelta, settle: timedelta) -> None:
    if age < settle:
        assert not absence_is_proven(misses=misses, age=age, settle_time=settle)


@given(st.integers(MISSES_NEEDED, 1000), AGES)
def test_enough_misses_after_the_settle_time_prove_absence(misses: int, settle: timedelta) -> None:
    assert absence_is_proven(misses=misses, age=settle, settle_time=settle)


def look_ups(latencies: list[timedelta], settle: timedelta = SETTLE) -> list[timedelta]:
    """Return when each look-up of an absent order is answered, since sending, up to the proof of absence."""
    answered, age = [], lookup_delay(0)
    for misses, latency in enumerate(latencies, start=1):
        age += latency
        answered.append(age)
        if absence_is_proven(misses=misses, age=age, settle_time=settle):
            return answered
        age += delay_after_miss(misses=misses, age=age, settle_time=settle)
    raise AssertionError("absence was never proven")


@given(LATENCIES)
def test_the_first_look_ups_come_early_and_absence_is_proven_in_time(latencies: list[timedelta]) -> None:
    answered = look_ups(latencies)

    assert answered[0] <= SECOND / 4 + latencies[0]
    assert answered[1] <= SECOND + latencies[0] + latencies[1]
    assert SETTLE <= answered[-1] <= SETTLE + SECOND / 2, "by the first look-up at the end of the settle time"
    assert len(answered) >= MISSES_NEEDED


@given(LATENCIES, st.timedeltas(timedelta(0), SETTLE))
def test_an_order_that_shows_late_is_found_in_time(latencies: list[timedelta], shown_after: timedelta) -> None:
    """Ten seconds are the aim; half of them are what brokers may take to show an order.

    A question that came just too early is answered first, and then the schedule's longest wait before the end begins.
    """
    asked = [answer - latency for answer, latency in zip(look_ups(latencies), latencies, strict=False)]
    found = next((answer for answer in asked if answer >= shown_after), asked[-1])

    assert found - shown_after <= 2 * SECOND + max(latencies)
    assert found + SECOND / 2 < 10 * SECOND


@given(st.integers(0, 1000), AGES, st.timedeltas(timedelta(0), timedelta(minutes=5)))
def test_a_miss_is_followed_by_another_question_soon_whatever_the_settle_time(
    misses: int, age: timedelta, settle: timedelta
) -> None:
    assert timedelta(0) < delay_after_miss(misses=misses, age=age, settle_time=settle) <= lookup_delay(misses)
