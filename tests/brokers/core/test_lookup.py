"""When an unknown outcome is asked about again, and when absence is believed."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from brokers.core.lookup import MISSES_NEEDED, absence_is_proven, lookup_delay

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
