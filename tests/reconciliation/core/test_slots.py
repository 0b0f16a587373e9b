"""Where bars are expected."""

from datetime import UTC, date, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.core.sessions import NEW_YORK, Session, always_sessions, fx_sessions
from reconciliation.core.slots import DailyStamp, SlotGrid, Stamping, build_grid, daily_stamp, infer_stamping
from reconciliation.core.timeframes import Timeframe


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def day(opens: str, closes: str) -> Session:
    first, last = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (opens, closes))
    return Session(first.date(), ((first, last),))


@st.composite
def grids(draw: st.DrawFn) -> SlotGrid:
    sessions = []
    clock = draw(st.integers(0, 10**6))
    for _ in range(draw(st.integers(1, 6))):
        opens = clock + draw(st.integers(0, 10_000))
        clock = opens + draw(st.integers(1, 20_000))
        trading = ((datetime.fromtimestamp(opens, UTC), datetime.fromtimestamp(clock, UTC)),)
        sessions.append(Session(trading[0][0].date(), trading))
    timeframe = draw(st.sampled_from([Timeframe.MINUTE, Timeframe.QUARTER, Timeframe.HOUR]))
    return build_grid(timeframe, sessions, Stamping(offset=draw(st.sampled_from([0, 30]))), NEW_YORK)


@given(grids())
def test_positions_and_stamps_are_each_other_s_inverse_and_grow(grid):
    stamps = [grid.at(position) for position in range(len(grid))]

    assert all(before < after for before, after in pairwise(stamps))
    assert [grid.position(stamp) for stamp in stamps] == list(range(len(grid)))
    assert all(grid.expects(stamp) for stamp in stamps)


@given(grids(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_counting_between_two_instants_is_listing_them(grid, first, last):
    listed = [stamp for stamp in (grid.at(place) for place in range(len(grid))) if first < stamp < last]

    assert list(grid.between(first, last)) == listed
    assert grid.count_between(first, last) == len(listed)


def test_the_fx_week_runs_from_sunday_to_friday_17_00_in_new_york_through_a_clock_change():
    grid = build_grid(Timeframe.HOUR, fx_sessions(date(2024, 3, 4), date(2024, 3, 15)), Stamping(), NEW_YORK)

    assert grid.expects(at("2024-03-08 21:00"))  # Friday 16:00 EST
    assert not grid.expects(at("2024-03-08 22:00"))
    assert not grid.expects(at("2024-03-10 20:00"))
    assert grid.expects(at("2024-03-10 21:00"))  # Sunday 17:00 EDT, clocks went forward that morning
    assert grid.count_between(at("2024-03-08 21:00"), at("2024-03-10 21:00")) == 0


@pytest.mark.parametrize(("holiday", "year"), [((12, 25), 2023), ((1, 1), 2024)])
def test_christmas_and_new_year_are_closed_from_17_00_to_17_00(holiday, year):
    closed = date(year, *holiday)
    sessions = fx_sessions(date(2023, 12, 18), date(2024, 1, 10))

    assert closed not in {session.day for session in sessions}


def test_a_market_that_never_closes_expects_every_minute():
    grid = build_grid(Timeframe.MINUTE, always_sessions(date(2024, 2, 28), date(2024, 3, 1)), Stamping(), NEW_YORK)

    assert len(grid) == 3 * 1440
    assert len(grid.starts) == 1


def test_hourly_bars_begin_with_the_session_or_on_the_clock_as_the_series_does():
    early_close = [day("2024-07-03 13:30", "2024-07-03 17:00")]
    by_session = build_grid(Timeframe.HOUR, early_close, Stamping(offset=1800), NEW_YORK)
    by_clock = build_grid(Timeframe.HOUR, early_close, Stamping(), NEW_YORK)

    assert [by_session.at(n) for n in range(len(by_session))] == [at(f"2024-07-03 {h}:30") for h in (13, 14, 15, 16)]
    assert [by_clock.at(n) for n in range(len(by_clock))] == [at(f"2024-07-03 {h}:00") for h in (13, 14, 15, 16)]


def test_a_lunch_break_parts_a_session():
    trading = tuple(
        tuple(datetime.fromisoformat(f"2024-07-03 {clock}").replace(tzinfo=UTC) for clock in pair)
        for pair in (("00:00", "02:30"), ("03:30", "06:00"))
    )
    grid = build_grid(Timeframe.QUARTER, [Session(date(2024, 7, 3), trading)], Stamping(), NEW_YORK)

    assert not grid.expects(at("2024-07-03 02:30"))
    assert grid.expects(at("2024-07-03 03:30"))
    assert len(grid) == 20


@pytest.mark.parametrize("way", list(DailyStamp))
def test_the_way_daily_bars_are_stamped_is_seen_from_them(way):
    sessions = [day(f"2024-07-{n:02d} 13:30", f"2024-07-{n:02d} 20:00") for n in (1, 2, 3, 5)]
    stamps = [daily_stamp(session, way, NEW_YORK) for session in sessions]

    assert infer_stamping(Timeframe.DAY, stamps, sessions, NEW_YORK).daily is way


def test_without_bars_midnight_utc_and_the_clock_are_assumed():
    assert infer_stamping(Timeframe.DAY, [], [], NEW_YORK) == Stamping()
    assert infer_stamping(Timeframe.HOUR, [], [], NEW_YORK) == Stamping()
