"""Which pieces are old enough to go, and what holds keep."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from reliability.core.retention import Fate, Hold, Piece, judge_pieces

START = datetime(2026, 1, 1, tzinfo=UTC)


def day(number: int) -> Piece:
    return Piece(f"day_{number}", START + timedelta(days=number), START + timedelta(days=number + 1))


def fates(keep_days: int | None, *holds: Hold, now: int = 10) -> dict[str, Fate]:
    judged = judge_pieces("errors", [day(n) for n in range(10)], keep_days, holds, START + timedelta(days=now))
    return {one.piece.name: one.fate for one in judged}


def test_a_piece_goes_once_all_of_it_is_older_than_its_days():
    assert [name for name, fate in fates(7).items() if fate is Fate.DUE] == ["day_0", "day_1", "day_2"]
    assert set(fates(None).values()) == {Fate.KEPT}


def test_a_hold_keeps_what_it_touches_of_its_kind_and_nothing_else():
    hold = Hold(1, "errors", START + timedelta(days=1, hours=12), START + timedelta(days=2, hours=1))
    assert [name for name, fate in fates(7, hold).items() if fate is Fate.HELD] == ["day_1", "day_2"]
    assert Fate.HELD not in fates(7, Hold(1, "jobs", START, None)).values()
    assert set(fates(1, Hold(1, "", START, None), now=99).values()) == {Fate.HELD}


@given(st.integers(1, 12), st.integers(0, 9), st.integers(1, 5), st.integers(0, 30))
def test_nothing_held_or_young_is_ever_due(keep_days: int, first: int, length: int, now: int):
    at = START + timedelta(days=now)
    hold = Hold(7, "", START + timedelta(days=first), START + timedelta(days=first + length))
    for one in judge_pieces("errors", [day(n) for n in range(10)], keep_days, [hold], at):
        if one.fate is Fate.DUE:
            assert one.piece.ends_at <= at - timedelta(days=keep_days)
            assert one.piece.ends_at <= hold.starts_at or one.piece.starts_at >= START + timedelta(days=first + length)


def test_a_hold_names_itself_and_ends_where_a_piece_begins():
    touching = Hold(1, "", START - timedelta(days=1), START)
    following = Hold(2, "", START + timedelta(days=1), None)
    within = Hold(3, "", START, START + timedelta(hours=1))
    first = Piece("first", START, START + timedelta(days=1))
    later = START + timedelta(days=90)

    judged = judge_pieces("orders", [first], 1, [touching, following, within], later)
    assert [(one.fate, one.holds) for one in judged] == [(Fate.HELD, (3,))]


def test_a_long_piece_that_stays_keeps_no_shorter_one():
    long = Piece("long", START, START + timedelta(days=80))
    short = Piece("short", START + timedelta(days=1), START + timedelta(days=2))

    judged = judge_pieces("orders", [long, short], 30, [], START + timedelta(days=90))
    assert [(one.piece.name, one.fate) for one in judged] == [("long", Fate.KEPT), ("short", Fate.DUE)]
