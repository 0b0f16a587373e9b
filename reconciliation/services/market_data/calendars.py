"""Trading calendars by name: ``FX`` and ``24/7`` are ours, the rest comes from ``exchange_calendars``."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from reconciliation.core.sessions import ALWAYS, FX, NEW_YORK, Session, always_sessions, fx_sessions
from reconciliation.core.slots import SlotGrid, Stamping, build_grid, daily_stamp
from reconciliation.core.timeframes import Timeframe
from reliability.core.errors import ReliabilityError

_MARGIN = timedelta(days=10)  # longer than any stretch of holidays, so that a neighbour session is always known


@dataclass(frozen=True, slots=True)
class Calendar:
    """The sessions of a stretch of days, and the zone of the exchange."""

    name: str
    zone: ZoneInfo
    sessions: Sequence[Session]

    def grid(self, timeframe: Timeframe, stamping: Stamping) -> SlotGrid:
        return build_grid(timeframe, self.sessions, stamping, self.zone)


def calendar_between(name: str, first: int, last: int) -> Calendar:
    """Return the calendar ``name`` over a stretch that covers two stamps in seconds since 1970, with room around.

    Raises:
        ReliabilityError: no calendar has that name, or it does not reach that far.
    """
    start = datetime.fromtimestamp(first, UTC).date() - _MARGIN
    end = datetime.fromtimestamp(last, UTC).date() + _MARGIN
    return _calendar(name, date(start.year, 1, 1), date(end.year, 12, 31))


@lru_cache(maxsize=64)
def grid_between(name: str, timeframe: Timeframe, stamping: Stamping, first_year: int, last_year: int) -> SlotGrid:
    """Return the expected stamps of whole years, kept for the next caller."""
    calendar = _calendar(name, date(first_year, 1, 1), date(last_year, 12, 31))
    return calendar.grid(timeframe, stamping)


def grid_around(name: str, timeframe: Timeframe, stamping: Stamping, first: int, last: int) -> SlotGrid:
    """Return a grid that covers two stamps with room around them."""
    start = datetime.fromtimestamp(first, UTC) - _MARGIN
    end = datetime.fromtimestamp(last, UTC) + _MARGIN
    return grid_between(name, timeframe, stamping, start.year, end.year)


def prepare_calendar(name: str, timeframe: str, moment: datetime) -> None:
    """Have the calendar around ``moment`` at hand before a transaction begins.

    The first use of a process imports a library for a second or more, and PostgreSQL ends transactions in which
    nothing happens for that long.
    """
    now = int(moment.timestamp())
    if Timeframe(timeframe).is_daily:
        calendar_between(name, now, now)
    else:
        grid_around(name, Timeframe(timeframe), Stamping(), now, now)


def last_due_stamp(name: str, timeframe: Timeframe, stamping: Stamping, moment: datetime) -> int:
    """Return the latest stamp of a bar that is over at ``moment``, whether or not a bar is expected there.

    A daily bar is over when its session is.
    """
    now = int(moment.timestamp())
    if not timeframe.is_daily:
        latest = now - timeframe.seconds
        return latest - (latest - stamping.offset) % timeframe.seconds
    calendar = calendar_between(name, now, now)
    over = [session for session in calendar.sessions if session.closes_at <= moment]
    return daily_stamp(over[-1], stamping.daily, calendar.zone) if over else now - timeframe.seconds


@lru_cache(maxsize=64)
def _calendar(name: str, first: date, last: date) -> Calendar:
    if name == FX:
        return Calendar(name, NEW_YORK, tuple(fx_sessions(first, last)))
    if name == ALWAYS:
        return Calendar(name, ZoneInfo("UTC"), tuple(always_sessions(first, last)))
    return _exchange_calendar(name, first, last)


def _exchange_calendar(name: str, first: date, last: date) -> Calendar:
    # Half a second of imports (pandas) that most processes never need.
    from exchange_calendars import errors, get_calendar, get_calendar_names

    known = get_calendar_names(include_aliases=True)
    if name not in known:
        raise ReliabilityError(
            "VALIDATION_INVALID_REQUEST",
            f"There is no calendar called {name!r}. Use FX, 24/7 or a code such as XNAS, XNYS or XLON.",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of pandas, for the library
            calendar = get_calendar(name, start=first.isoformat(), end=last.isoformat())
    except (ValueError, errors.CalendarError) as error:
        raise ReliabilityError(
            "VALIDATION_INVALID_REQUEST", f"The calendar {name} does not cover {first} to {last}: {error}"
        ) from error
    sessions = tuple(
        Session(row.Index.date(), _trading(row.open, row.break_start, row.break_end, row.close))
        for row in calendar.schedule.itertuples()
    )
    return Calendar(name, ZoneInfo(str(calendar.tz)), sessions)


def _trading(opens: object, pause: object, resume: object, closes: object) -> tuple[tuple[datetime, datetime], ...]:
    """Return the stretches of trading of one row; a missing lunch break is NaT, which is not equal to itself."""
    if pause != pause:
        return ((_instant(opens), _instant(closes)),)
    return ((_instant(opens), _instant(pause)), (_instant(resume), _instant(closes)))


def _instant(value: object) -> datetime:
    moment: datetime = value.to_pydatetime()  # type: ignore[attr-defined]
    return moment
