"""Chains of steps are read strictly, shifts span midnight, and the waits follow the severity."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core.escalation import (
    Shift,
    Step,
    group_wait,
    on_call,
    reminder_interval,
    repeat_interval,
    steps_from,
)

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)


def test_steps_are_read_with_what_may_be_left_out() -> None:
    steps = steps_from(
        [
            {"people": ["ann"]},
            {"wait_seconds": 90, "rotas": ["desk", "night"]},
            {"wait_seconds": 0.5, "rotas": [], "people": ["bob", "cy"]},
        ]
    )

    assert steps == (
        Step(timedelta(0), (), ("ann",)),
        Step(timedelta(seconds=90), ("desk", "night"), ()),
        Step(timedelta(seconds=0.5), (), ("bob", "cy")),
    )


def test_steps_are_kept_as_they_are_read() -> None:
    steps = steps_from([{"wait_seconds": 60, "rotas": ["desk"], "people": ["ann"]}])

    kept = [step.to_dict() for step in steps]
    assert kept == [{"wait_seconds": 60.0, "rotas": ["desk"], "people": ["ann"]}]
    assert steps_from(kept) == steps


@pytest.mark.parametrize("values", [None, {}, "x", (), [], [{"people": ["ann"]}] * 21])
def test_a_chain_is_a_list_of_one_to_twenty_steps(values: Any) -> None:
    with pytest.raises(ValueError, match="1 to 20"):
        steps_from(values)


def test_a_chain_of_twenty_steps_and_a_wait_of_a_day_are_allowed() -> None:
    steps = steps_from([{"wait_seconds": 86_400, "people": ["n" * 64, "n"]}] * 20)

    assert len(steps) == 20
    assert steps[0].wait == timedelta(days=1)


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ("ann", "nothing else"),
        (["people"], "nothing else"),
        ({"people": ["ann"], "person": "bob"}, "nothing else"),
        ({"people": ["ann"], "wait_seconds": -1}, "from 0 to 86400"),
        ({"people": ["ann"], "wait_seconds": 86_401}, "from 0 to 86400"),
        ({"people": ["ann"], "wait_seconds": True}, "from 0 to 86400"),
        ({"people": ["ann"], "wait_seconds": "60"}, "from 0 to 86400"),
        ({"people": ["ann"], "wait_seconds": None}, "from 0 to 86400"),
        ({"people": ["ann"], "wait_seconds": float("nan")}, "from 0 to 86400"),
        ({}, "tells nobody"),
        ({"wait_seconds": 5, "rotas": [], "people": []}, "tells nobody"),
        ({"people": "ann"}, "people is a list of names"),
        ({"people": [""]}, "people is a list of names"),
        ({"people": ["ann", 7]}, "people is a list of names"),
        ({"people": ["n" * 65]}, "people is a list of names"),
        ({"rotas": None, "people": ["ann"]}, "rotas is a list of names"),
        ({"rotas": [["desk"]]}, "rotas is a list of names"),
    ],
)
def test_a_step_that_is_wrong_is_named_with_what_is_wrong(step: Any, why: str) -> None:
    with pytest.raises(ValueError, match=f"^step 2.*{why}"):
        steps_from([{"people": ["ann"]}, step])


def shift(*weekdays: int, start: int = 8, end: int = 16, person: str = "ann", place: int = 0) -> Shift:
    return Shift(person, frozenset(weekdays), time(start), time(end), place)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """Return an instant of the week whose Monday is day 0."""
    return MONDAY + timedelta(days=day, hours=hour, minutes=minute)


def test_a_shift_begins_with_its_first_minute_and_ends_before_its_last() -> None:
    day = shift(0, 1)

    assert [day.covers(at(0, hour, minute)) for hour, minute in ((7, 59), (8, 0), (15, 59), (16, 0))] == [
        False, True, True, False,
    ]  # fmt: skip
    assert [day.covers(at(number, 12)) for number in range(7)] == [True, True] + [False] * 5


def test_a_shift_over_midnight_belongs_to_the_day_it_begins_on() -> None:
    night = shift(6, start=22, end=6)  # of Sunday

    assert [night.covers(at(6, 21, 59)), night.covers(at(6, 22)), night.covers(at(6, 23, 59))] == [False, True, True]
    assert [night.covers(at(7, 0)), night.covers(at(7, 5, 59)), night.covers(at(7, 6))] == [True, True, False]
    assert not night.covers(at(6, 3)), "the night to Sunday is Saturday's"
    assert not night.covers(at(7, 22)), "and the evening of Monday is Monday's"


def test_a_shift_that_ends_when_it_starts_is_a_whole_day() -> None:
    day = shift(2, start=8, end=8)

    assert [day.covers(at(2, 7, 59)), day.covers(at(2, 8)), day.covers(at(3, 7, 59)), day.covers(at(3, 8))] == [
        False, True, True, False,
    ]  # fmt: skip


@given(st.sampled_from(range(7)), st.integers(0, 23), st.integers(0, 23), st.integers(0, 7 * 24 * 60 - 1))
def test_a_weekly_shift_covers_one_stretch_from_its_start_to_its_end(
    day: int, start: int, end: int, minute: int
) -> None:
    since_start = (minute - (day * 24 + start) * 60) % (7 * 24 * 60)
    length = ((end - start) % 24 or 24) * 60

    assert shift(day, start=start, end=end).covers(MONDAY + timedelta(minutes=minute)) is (since_start < length)


def test_who_is_on_call_comes_in_the_rotas_order_each_once() -> None:
    shifts = [
        shift(0, person="cy", place=3),
        shift(0, person="ann", place=2),
        shift(1, person="dee", place=0),
        shift(0, person="bob", place=1),
        shift(0, start=0, end=23, person="ann", place=0),
    ]

    assert on_call(shifts, at(0, 9)) == ("ann", "bob", "cy")
    assert on_call(shifts, at(0, 20)) == ("ann",)
    assert on_call(shifts, at(3, 9)) == ()


def test_places_that_are_equal_keep_the_order_they_were_given_in() -> None:
    assert on_call([shift(0, person="bob"), shift(0, person="ann")], at(0, 9)) == ("bob", "ann")


def test_the_waits_follow_the_severity() -> None:
    waits = [(group_wait(rank), repeat_interval(rank), reminder_interval(rank)) for rank in (1, 2, 4)]

    less = (timedelta(seconds=10), timedelta(hours=1), timedelta(minutes=30))
    assert waits == [(timedelta(0), timedelta(minutes=15), timedelta(minutes=10)), less, less]
