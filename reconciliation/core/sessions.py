"""Trading sessions as plain values, and the two calendars that need no library: the FX week and 24/7."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
FX = "FX"
ALWAYS = "24/7"
_FX_TURN = time(17)  # the trading day turns at 17:00 in New York
_FX_CLOSED = {(12, 25), (1, 1)}  # trading days without trading: Christmas and New Year's Day


@dataclass(frozen=True, slots=True)
class Session:
    """One trading day: its date, and when trading is possible. ``trading`` is in order; a lunch break parts it."""

    day: date
    trading: tuple[tuple[datetime, datetime], ...]

    @property
    def opens_at(self) -> datetime:
        return self.trading[0][0]

    @property
    def closes_at(self) -> datetime:
        return self.trading[-1][1]


def fx_sessions(first: date, last: date) -> list[Session]:
    """Return the FX trading days of ``first`` to ``last``.

    They are Monday to Friday, each from 17:00 in New York of the evening before until 17:00. Christmas and New
    Year's Day are no trading days.
    """
    sessions = []
    for day in _days(first, last):
        if day.weekday() < 5 and (day.month, day.day) not in _FX_CLOSED:
            opens_at = datetime.combine(day - timedelta(days=1), _FX_TURN, NEW_YORK).astimezone(UTC)
            closes_at = datetime.combine(day, _FX_TURN, NEW_YORK).astimezone(UTC)
            sessions.append(Session(day, ((opens_at, closes_at),)))
    return sessions


def always_sessions(first: date, last: date) -> list[Session]:
    """Return every day of ``first`` to ``last``, midnight to midnight UTC."""
    sessions = []
    for day in _days(first, last):
        opens_at = datetime.combine(day, time(), UTC)
        sessions.append(Session(day, ((opens_at, opens_at + timedelta(days=1)),)))
    return sessions


def trading_turn(sessions: Sequence[Session], now: datetime) -> tuple[bool, datetime | None]:
    """Return whether trading is possible at ``now``, and when that turns; None where these sessions do not tell.

    Sessions that follow one another without a pause count as one.
    """
    is_open, turn = False, None
    for begins_at, ends_at in (stretch for session in sessions for stretch in session.trading if stretch[1] > now):
        if begins_at > (turn or now):
            return is_open, turn or begins_at
        is_open, turn = True, ends_at
    return is_open, None


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
