"""Whether a market trades, and when that turns."""

from datetime import UTC, date, datetime, timedelta

import pytest

from reconciliation.core.sessions import Session, always_sessions, fx_sessions, trading_turn

DAY = date(2026, 11, 27)  # a Friday
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
AN_HOUR = timedelta(hours=1)
WITH_LUNCH = Session(DAY, ((NOON - 2 * AN_HOUR, NOON), (NOON + AN_HOUR, NOON + 3 * AN_HOUR)))


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (-3, (False, -2)),
        (-2, (True, 0)),
        (-1, (True, 0)),
        (0, (False, 1)),
        (1, (True, None)),  # what follows this session is not known
        (3, (False, None)),
    ],
)
def test_a_market_with_a_lunch_break(hours: int, expected: tuple[bool, int | None]) -> None:
    is_open, turn = expected
    at = None if turn is None else NOON + turn * AN_HOUR
    assert trading_turn([WITH_LUNCH], NOON + hours * AN_HOUR) == (is_open, at)


def test_days_that_follow_without_a_pause_are_one() -> None:
    first, last = date(2026, 11, 23), date(2026, 12, 4)
    friday, monday = datetime(2026, 11, 27, 22, tzinfo=UTC), datetime(2026, 11, 29, 22, tzinfo=UTC)
    week = fx_sessions(first, last)
    assert trading_turn(week, NOON - 2 * timedelta(days=1)) == (True, friday)
    assert trading_turn(week, friday) == (False, monday)
    assert trading_turn(always_sessions(first, last), NOON) == (True, None)
    assert trading_turn([], NOON) == (False, None)
