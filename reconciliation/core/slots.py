"""Where bars are expected: the slots of a calendar, counted without listing them.

All instants in here are whole seconds since 1970 in UTC: millions of them are compared.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from enum import StrEnum
from itertools import accumulate
from zoneinfo import ZoneInfo

from reconciliation.core.sessions import Session
from reconciliation.core.timeframes import Timeframe


class DailyStamp(StrEnum):
    """How daily bars of a series are stamped."""

    UTC_MIDNIGHT = "utc_midnight"  # midnight UTC of the session's date
    LOCAL_MIDNIGHT = "local_midnight"  # midnight of the session's date where the exchange is
    OPEN = "open"  # when the session opens
    CLOSE = "close"  # when the session closes


@dataclass(frozen=True, slots=True)
class Stamping:
    """How a series stamps its bars.

    ``offset`` is for bars of less than a day: seconds past a whole multiple of the timeframe since 1970
    (0 where bars begin on the clock, 1800 for hourly bars that begin with a session at 9:30).
    ``daily`` is for daily bars.
    """

    offset: int = 0
    daily: DailyStamp = DailyStamp.UTC_MIDNIGHT


@dataclass(frozen=True, slots=True)
class SlotGrid:
    """The expected stamps of bars: runs of ``counts[i]`` stamps from ``starts[i]`` on, ``step`` apart.

    Runs are in order and do not overlap. ``before[i]`` is how many stamps precede run i.
    """

    step: int
    starts: tuple[int, ...]
    counts: tuple[int, ...]
    before: tuple[int, ...]

    def position(self, stamp: int) -> int:
        """Return how many expected stamps are earlier than ``stamp``."""
        run = bisect_right(self.starts, stamp) - 1
        if run < 0:
            return 0
        steps = -(-(stamp - self.starts[run]) // self.step)
        return self.before[run] + min(steps, self.counts[run])

    def at(self, position: int) -> int:
        """Return the expected stamp with ``position`` expected ones before it.

        Raises:
            IndexError: the grid does not reach that far.
        """
        if not 0 <= position < len(self):
            raise IndexError(position)
        run = bisect_right(self.before, position) - 1
        return self.starts[run] + (position - self.before[run]) * self.step

    def expects(self, stamp: int) -> bool:
        position = self.position(stamp)
        return position < len(self) and self.at(position) == stamp

    def run_start(self, stamp: int) -> int | None:
        """Return where the stretch of trading begins that ``stamp`` lies in, or None outside of trading."""
        run = bisect_right(self.starts, stamp) - 1
        inside = run >= 0 and stamp < self.starts[run] + self.counts[run] * self.step
        return self.starts[run] if inside else None

    def between(self, first: int, last: int) -> Iterator[int]:
        """Yield the expected stamps after ``first`` and before ``last``."""
        for position in range(self.position(first + 1), self.position(last)):
            yield self.at(position)

    def count_between(self, first: int, last: int) -> int:
        """Return how many stamps are expected after ``first`` and before ``last``."""
        return max(0, self.position(last) - self.position(first + 1))

    def __len__(self) -> int:
        return self.before[-1] + self.counts[-1] if self.starts else 0


def build_grid(timeframe: Timeframe, sessions: Sequence[Session], stamping: Stamping, zone: ZoneInfo) -> SlotGrid:
    """Return the stamps that bars of ``timeframe`` have when every one of ``sessions`` was traded throughout.

    A bar of less than a day is expected when any part of its time is traded; so an hourly bar may begin before
    a session opens, and the last one may end after it closes. ``zone`` is the exchange's.
    """
    if timeframe.is_daily:
        stamps = sorted(daily_stamp(session, stamping.daily, zone) for session in sessions)
        return _grid(timeframe.seconds, ((stamp, 1) for stamp in stamps))
    runs: list[tuple[int, int]] = []
    step = timeframe.seconds
    for session in sessions:
        for opens_at, closes_at in session.trading:
            _add_run(runs, int(opens_at.timestamp()), int(closes_at.timestamp()), step, stamping.offset)
    return _grid(step, runs)


def _add_run(runs: list[tuple[int, int]], opens: int, closes: int, step: int, offset: int) -> None:
    """Append the stamps of one stretch of trading, joined with the run before where they touch."""
    first = opens - (opens - offset) % step
    if runs:
        start, count = runs[-1]
        free = start + count * step
        if first <= free:
            runs[-1] = (start, max(count, -(-(closes - start) // step)))
            return
    runs.append((first, -(-(closes - first) // step)))


def _grid(step: int, runs: Iterable[tuple[int, int]]) -> SlotGrid:
    kept = [run for run in runs if run[1] > 0]
    counts = tuple(count for _, count in kept)
    before = tuple(accumulate(counts, initial=0))[: len(kept)]
    return SlotGrid(step, tuple(start for start, _ in kept), counts, before)


def daily_stamp(session: Session, stamp: DailyStamp, zone: ZoneInfo) -> int:
    """Return the stamp of the daily bar of ``session``."""
    if stamp is DailyStamp.OPEN:
        return int(session.opens_at.timestamp())
    if stamp is DailyStamp.CLOSE:
        return int(session.closes_at.timestamp())
    midnight = datetime.combine(session.day, time(), UTC if stamp is DailyStamp.UTC_MIDNIGHT else zone)
    return int(midnight.timestamp())


def infer_stamping(
    timeframe: Timeframe, stamps: Sequence[int], sessions: Sequence[Session], zone: ZoneInfo
) -> Stamping:
    """Return the way of stamping under which most of ``stamps`` are where bars are expected.

    Midnight UTC and the clock's own grid win a draw. Without stamps it is those two.
    """
    if timeframe.is_daily:
        known = set(stamps)
        hits = {way: len(known & {daily_stamp(session, way, zone) for session in sessions}) for way in DailyStamp}
        return Stamping(daily=max(DailyStamp, key=lambda way: hits[way]))
    tallies: dict[int, int] = {0: 0}
    for stamp in stamps:
        offset = stamp % timeframe.seconds
        tallies[offset] = tallies.get(offset, 0) + 1
    return Stamping(offset=max(tallies, key=lambda offset: tallies[offset]))


def nearest_session(sessions: Sequence[Session], stamp: int) -> Session | None:
    """Return the session under way at ``stamp``, or the last one that opened before it."""
    opens = [int(session.opens_at.timestamp()) for session in sessions]
    place = bisect_left(opens, stamp + 1) - 1
    return sessions[place] if place >= 0 else None
