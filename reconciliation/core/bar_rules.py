"""Which bars cannot be believed. Every rule names a fault; a bar with any fault is kept and never used.

Rules of shape look at one bar alone. Rules of scale compare it with the bars before and, where it is known, the
bar after: a price far away that comes straight back, with no more trading than usual, is a bad print; a price that
stays is news. How far is far is measured in the series' own typical steps, so quiet and wild series have rules alike.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from reconciliation.core.bars import Bar, BarValues
from reconciliation.core.slots import SlotGrid


class BarFault(StrEnum):
    UNREADABLE = "unreadable"  # a field is missing or no number
    NOT_FINITE = "not_finite"  # NaN or infinity
    NOT_POSITIVE = "not_positive"  # a price of zero or less
    NEGATIVE_VOLUME = "negative_volume"
    HIGH_TOO_LOW = "high_too_low"  # the high is below another price of the bar
    LOW_TOO_HIGH = "low_too_high"  # the low is above another price of the bar
    OFF_GRID = "off_grid"  # the stamp is not where bars of this series begin
    CLOSED_MARKET = "closed_market"  # the stamp lies outside trading hours
    FUTURE = "future"  # the bar cannot be over yet
    TOO_LATE = "too_late"  # a stream does not bring bars this old; the backfill does
    EXTREME = "extreme"  # three times the last price or a third of it
    SPIKE = "spike"  # far away and straight back
    UNCONFIRMED = "unconfirmed"  # far away; the next bar or another source decides
    WICK = "wick"  # a high or low far from every price around it
    REPEATED = "repeated"  # exactly the bar before, under another stamp
    NOT_ASKED_FOR = "not_asked_for"  # the answer to a question about another time: a wrong page or zone
    CONFLICT = "conflict"  # another version of this bar is recorded already
    UNKNOWN_SYMBOL = "unknown_symbol"  # nobody asked for it


# Held because nobody could believe them, not because they cannot be: a person may know better.
CAN_BE_TRUE = frozenset(
    {
        BarFault.EXTREME,
        BarFault.SPIKE,
        BarFault.UNCONFIRMED,
        BarFault.WICK,
        BarFault.REPEATED,
        BarFault.CONFLICT,
        BarFault.TOO_LATE,
    }
)

# About another time than that of any bar that can be missing: not over, too old for a stream, or not asked for.
_ELSEWHERE = frozenset({BarFault.FUTURE, BarFault.TOO_LATE, BarFault.NOT_ASKED_FOR})
# Nothing has to be fetched for these: no bar is expected there, it is not over yet, or it is recorded already.
NEEDS_NO_REPAIR = _ELSEWHERE | {BarFault.CLOSED_MARKET, BarFault.OFF_GRID, BarFault.CONFLICT}
# What came with these says nothing about its place: a bar that is not there besides is missing.
SHOWS_NO_BAR = _ELSEWHERE | {BarFault.UNREADABLE}

FACTOR_EXTREME = 3.0
TYPICAL_STEPS = 30.0
LEAST_JUMP = 0.01  # no jump below one per cent is suspicious, however quiet the series was
VOLUME_SURGE = 3.0
HISTORY = 60  # bars that say what is typical
FEWEST = 20  # with fewer bars before, only extremes are seen
LEAST_TYPICAL = 1e-5


def shape_faults(values: BarValues) -> list[BarFault]:
    """Return what is impossible about one bar by itself."""
    prices = (values.open, values.high, values.low, values.close)
    if not all(number.is_finite() for number in (*prices, values.volume)):
        return [BarFault.NOT_FINITE]
    faults = []
    if min(prices) <= 0:
        faults.append(BarFault.NOT_POSITIVE)
    if values.volume < 0:
        faults.append(BarFault.NEGATIVE_VOLUME)
    if values.high < max(prices):
        faults.append(BarFault.HIGH_TOO_LOW)
    if values.low > min(prices):
        faults.append(BarFault.LOW_TOO_HIGH)
    return faults


@dataclass(frozen=True, slots=True)
class ArrivalRules:
    """When a bar of a stream may come. Seconds.

    ``early`` is how much our clock may be behind, ``late`` how old the end of a bar may be.
    """

    early: float = 2.0
    late: float = 900.0


def arrival_faults(bar: Bar, grid: SlotGrid, now: float, rules: ArrivalRules | None) -> list[BarFault]:
    """Return what is wrong with a bar's stamp at the time ``now``, in seconds since 1970.

    ``rules`` None is for bars that were asked for: they may be of any age.
    """
    faults = []
    if not grid.expects(bar.stamp):
        on_step = any((bar.stamp - start) % grid.step == 0 for start in grid.starts[:1])
        faults.append(BarFault.CLOSED_MARKET if on_step else BarFault.OFF_GRID)
    early = rules.early if rules else ArrivalRules().early
    # A daily bar is over when its session is, which may be less than a day after its stamp.
    length = grid.step if grid.step < 86_400 else 0
    if bar.stamp + length > now + early:
        faults.append(BarFault.FUTURE)
    elif rules is not None and bar.stamp + grid.step < now - rules.late:
        faults.append(BarFault.TOO_LATE)
    return faults


@dataclass(frozen=True, slots=True)
class Typical:
    """What is usual for a series: its last price, its step from bar to bar (as a logarithm), and its volume."""

    last: float
    step: float
    volume: float
    bars: int

    @property
    def jump(self) -> float:
        """The change from bar to bar, as a logarithm, from which on a bar needs confirmation."""
        return max(TYPICAL_STEPS * self.step, LEAST_JUMP)


def typical(before: Sequence[Bar]) -> Typical | None:
    """Return what is usual, from the usable bars before in order, oldest first; None without any."""
    recent = before[-HISTORY:]
    if not recent:
        return None
    closes = [float(bar.values.close) for bar in recent]
    steps = [abs(math.log(after / close)) for close, after in itertools.pairwise(closes)]
    step = 1.4826 * median(steps) if steps else 0.0
    return Typical(
        closes[-1], max(step, LEAST_TYPICAL), median(float(bar.values.volume) for bar in recent), len(recent)
    )


def scale_faults(bar: Bar, usual: Typical | None, previous: Bar | None, after: Bar | None) -> list[BarFault]:
    """Return what is unbelievable about a bar of proper shape beside its neighbours.

    ``previous`` is the usable bar before, ``after`` the next bar, of proper shape, where there is one already.
    Without it a far price is ``UNCONFIRMED``: to be asked again when the next bar is there.
    """
    if usual is None or previous is None:
        return _faults_of_first(bar, after)
    if _repeats(bar.values, previous.values):
        return [BarFault.REPEATED]
    moved = _distance(bar.values.close, usual.last)
    if moved > math.log(FACTOR_EXTREME):
        stays = after is not None and _distance(after.values.close, float(bar.values.close)) < moved / 2
        return [] if stays else [BarFault.EXTREME]
    if usual.bars < FEWEST or _surges(bar, usual):
        return []
    if moved > usual.jump:
        if after is None or _tells_nothing(after, bar, usual):
            return [BarFault.UNCONFIRMED]
        back = _distance(after.values.close, usual.last)
        return [BarFault.SPIKE] if back < moved / 2 else []
    return [BarFault.WICK] if _has_wick(bar, usual, after) else []


def _tells_nothing(after: Bar, bar: Bar, usual: Typical) -> bool:
    """Return whether the next bar is itself extreme beside both prices: it confirms neither."""
    close = after.values.close
    return min(_distance(close, float(bar.values.close)), _distance(close, usual.last)) > math.log(FACTOR_EXTREME)


def _faults_of_first(bar: Bar, after: Bar | None) -> list[BarFault]:
    """Return what is unbelievable about the first bar of a series: no bar before says what is usual.

    Its own prices must lie within nine times each other, and the next bar, where there is one, within the factor that
    is extreme elsewhere: which of the two is wrong nobody knows, and the one kept aside can be confirmed.
    """
    values = bar.values
    if _distance(values.high, float(values.low)) > 2 * math.log(FACTOR_EXTREME):
        return [BarFault.WICK]
    if after is not None and _distance(after.values.close, float(values.close)) > math.log(FACTOR_EXTREME):
        return [BarFault.EXTREME]
    return []


def _has_wick(bar: Bar, usual: Typical, after: Bar | None) -> bool:
    around = [float(bar.values.open), float(bar.values.close), usual.last]
    if after is not None:
        around += [float(after.values.open), float(after.values.close)]
    above = math.log(float(bar.values.high) / max(around))
    below = math.log(min(around) / float(bar.values.low))
    return max(above, below) > usual.jump


def _surges(bar: Bar, usual: Typical) -> bool:
    """Return whether far more was traded than usual: news, not a bad print."""
    return usual.volume > 0 and float(bar.values.volume) >= VOLUME_SURGE * usual.volume


def _repeats(values: BarValues, previous: BarValues) -> bool:
    """Return whether two bars are equal in all numbers, which a bar that moved and traded never is by chance."""
    return values == previous and values.volume > 0 and values.high > values.low


def _distance(price: object, reference: float) -> float:
    return abs(math.log(float(price) / reference))  # type: ignore[arg-type]


def scan_faults(bars: Iterable[Bar]) -> Iterator[tuple[Bar, list[BarFault]]]:
    """Yield each bar of a stretch of history with its faults of scale.

    ``bars`` are of proper shape and in order. A bar with a fault says nothing about what is usual. The last bar
    has no neighbour after it and passes when it is not extreme.
    """
    good: list[Bar] = []
    for bar, after in _with_next(bars):
        found = _quick_or_full(bar, good, after)
        if after is None:
            found = [fault for fault in found if fault is not BarFault.UNCONFIRMED]
        if not found:
            good.append(bar)
            if len(good) > 4 * HISTORY:
                del good[: 3 * HISTORY]
        yield bar, found


def _with_next(bars: Iterable[Bar]) -> Iterator[tuple[Bar, Bar | None]]:
    waiting: Bar | None = None
    for bar in bars:
        if waiting is not None:
            yield waiting, bar
        waiting = bar
    if waiting is not None:
        yield waiting, None


def _quick_or_full(bar: Bar, good: Sequence[Bar], after: Bar | None) -> list[BarFault]:
    """Skip the arithmetic for the many bars that moved less than the least suspicious jump."""
    if not good:
        return scale_faults(bar, None, None, after)
    values, last = bar.values, good[-1].values
    low, high = float(last.close) * (1 - LEAST_JUMP), float(last.close) * (1 + LEAST_JUMP)
    if low < float(values.low) and float(values.high) < high and values != last:
        return []
    return scale_faults(bar, typical(good), good[-1], after)
