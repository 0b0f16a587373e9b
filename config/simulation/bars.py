"""Market data that is wrong, missing or only odd, before the real rules of bars and gaps."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from config.simulation.episodes import Episode, Finding, Scenario
from reconciliation.core.bar_rules import ArrivalRules, BarFault, arrival_faults, scan_faults, shape_faults
from reconciliation.core.bars import Bar, BarValues
from reconciliation.core.gaps import missing_runs, runs_of
from reconciliation.core.sessions import NEW_YORK, fx_sessions
from reconciliation.core.slots import SlotGrid, Stamping, build_grid
from reconciliation.core.timeframes import Timeframe

MINUTE = 60
BARS = 90


def _grid(episode: Episode) -> SlotGrid:
    """Return the minutes of a week of trading somewhere in 2024, with the weekend it is closed on."""
    first = date(2024, 1, 8) + timedelta(days=7 * episode.random.randrange(40))
    return build_grid(Timeframe.MINUTE, fx_sessions(first, first + timedelta(days=8)), Stamping(), NEW_YORK)


def _walk(episode: Episode, stamps: list[int]) -> list[Bar]:
    """Return bars of a price that wanders in small steps."""
    chance, price, bars = episode.random, episode.random.uniform(20, 500), []
    step = episode.random.uniform(0.0002, 0.002)
    for stamp in stamps:
        opened, price = price, price * math.exp(chance.gauss(0, step))
        high, low = max(opened, price) * (1 + step / 2), min(opened, price) * (1 - step / 2)
        bars.append(Bar(stamp, _values(opened, high, low, price, chance.randint(500, 2000))))
    return bars


def _values(opened: float, high: float, low: float, close: float, volume: float) -> BarValues:
    return BarValues(*(Decimal(str(round(number, 4))) for number in (opened, high, low, close, volume)))


@dataclass(slots=True)
class Series:
    """Bars in order, the grid they belong to, and for each when it arrived."""

    bars: list[Bar]
    grid: SlotGrid
    arrived: list[float]

    def alter(self, at: int, **values: Decimal) -> None:
        self.bars[at] = replace(self.bars[at], values=replace(self.bars[at].values, **values))

    def scale(self, at: int, factor: float) -> None:
        values, ratio = self.bars[at].values, Decimal(str(factor))
        prices = {name: getattr(values, name) * ratio for name in ("open", "high", "low", "close")}
        self.alter(at, **prices)


Harm = Callable[[Episode, Series, int], BarFault]


def _not_finite(episode: Episode, series: Series, at: int) -> BarFault:
    series.alter(
        at,
        **{
            episode.random.choice(("open", "high", "low", "close")): Decimal(episode.random.choice(("NaN", "Infinity")))
        },
    )
    return BarFault.NOT_FINITE


def _zero(episode: Episode, series: Series, at: int) -> BarFault:
    zero = Decimal(episode.random.choice(("0", "-1.5")))
    series.alter(at, low=zero, open=zero)
    return BarFault.NOT_POSITIVE


def _negative_volume(episode: Episode, series: Series, at: int) -> BarFault:
    series.alter(at, volume=Decimal(-episode.random.randint(1, 999)))
    return BarFault.NEGATIVE_VOLUME


def _high_too_low(episode: Episode, series: Series, at: int) -> BarFault:
    series.alter(at, high=series.bars[at].values.low * Decimal("0.999"))
    return BarFault.HIGH_TOO_LOW


def _low_too_high(episode: Episode, series: Series, at: int) -> BarFault:
    series.alter(at, low=series.bars[at].values.high * Decimal("1.0005"))
    return BarFault.LOW_TOO_HIGH


def _off_grid(episode: Episode, series: Series, at: int) -> BarFault:
    series.bars[at] = replace(series.bars[at], stamp=series.bars[at].stamp + episode.random.randint(1, 59))
    return BarFault.OFF_GRID


def _closed(episode: Episode, series: Series, at: int) -> BarFault:
    opens = series.grid.starts[-1]
    series.bars[at] = replace(series.bars[at], stamp=opens - MINUTE * episode.random.randint(60, 1000))
    series.arrived[at] = series.bars[at].stamp + MINUTE + 1.0
    return BarFault.CLOSED_MARKET


def _future(episode: Episode, series: Series, at: int) -> BarFault:
    series.arrived[at] = series.bars[at].stamp + MINUTE - episode.random.uniform(3, 59)
    return BarFault.FUTURE


def _too_late(episode: Episode, series: Series, at: int) -> BarFault:
    series.arrived[at] = series.bars[at].stamp + MINUTE + episode.random.uniform(901, 9000)
    return BarFault.TOO_LATE


def _extreme(episode: Episode, series: Series, at: int) -> BarFault:
    series.scale(at, episode.random.choice((10.0, 0.1, 100.0, 3.5, 0.25)))
    return BarFault.EXTREME


def _spike(episode: Episode, series: Series, at: int) -> BarFault:
    series.scale(at, 1 + episode.random.choice((0.15, 0.3, 0.6, -0.15, -0.3)))
    return BarFault.SPIKE


def _wick(episode: Episode, series: Series, at: int) -> BarFault:
    series.alter(at, high=series.bars[at].values.high * Decimal(str(1 + episode.random.uniform(0.12, 0.5))))
    return BarFault.WICK


def _repeated(episode: Episode, series: Series, at: int) -> BarFault:
    series.bars[at] = replace(series.bars[at], values=series.bars[at - 1].values)
    return BarFault.REPEATED


HARMS: tuple[Harm, ...] = (
    *(_not_finite, _zero, _negative_volume, _high_too_low, _low_too_high, _off_grid, _closed, _future, _too_late),
    *(_extreme, _spike, _wick, _repeated),
)


def _make_odd(episode: Episode, series: Series, at: int) -> str:
    """Change a bar so that it looks wrong and is true; returns how."""
    chance = episode.random
    how = chance.choice(("news that stays", "a burst of trading", "no trade at all", "a little late", "nothing"))
    if how == "news that stays":
        factor = 1 + chance.choice((0.05, 0.2, 0.8, -0.05, -0.4))
        for place in range(at, len(series.bars)):
            series.scale(place, factor)
    elif how == "a burst of trading":
        series.scale(at, 1 + chance.choice((0.1, -0.1)))
        series.alter(at, volume=Decimal(chance.randint(8000, 90_000)))
    elif how == "no trade at all":
        close = series.bars[at - 1].values.close
        series.bars[at] = replace(series.bars[at], values=BarValues(close, close, close, close, Decimal(0)))
    elif how == "a little late":
        series.arrived[at] += chance.uniform(10, 800)
    return how


def play_wrong(episode: Episode) -> tuple[Finding, str]:
    """One bar of ninety is wrong in one of thirteen ways; or one looks odd and is true."""
    grid = _grid(episode)
    start = episode.random.randrange(1000)
    bars = _walk(episode, [grid.at(start + place) for place in range(BARS)])
    series = Series(bars, grid, [bar.stamp + MINUTE + episode.random.uniform(0.1, 2) for bar in bars])
    at, expected, how = episode.random.randrange(65, BARS - 2), "", ""
    if episode.is_fault:
        expected = str(episode.random.choice(HARMS)(episode, series, at))
    else:
        how = _make_odd(episode, series, at)
    episode.note(0, f"truth: bar {at} is {expected or 'fine: ' + how}: {series.bars[at]}")
    rules = ArrivalRules(late=0.5) if episode.is_eager else ArrivalRules()
    found: dict[int, list[BarFault]] = {}
    for place, bar in enumerate(series.bars):
        found[place] = [*shape_faults(bar.values), *arrival_faults(bar, grid, series.arrived[place], rules)]
    proper = [bar for place, bar in enumerate(series.bars) if not found[place]]
    places = {id(bar): place for place, bar in enumerate(series.bars)}
    for bar, faults in scan_faults(proper):
        found[places[id(bar)]] += faults
    if episode.is_blind:
        found = {place: [] for place in found}
    for place, faults in found.items():
        if faults:
            episode.note(0, f"bar {place}: {', '.join(faults)}")
    others = [place for place, faults in found.items() if faults and (place != at or not episode.is_fault)]
    broken = tuple(f"bar {place} was refused, too" for place in others) if episode.is_fault else ()
    if not episode.is_fault:
        return Finding(f"refused: {others}" if others else ""), ""
    seen = expected if expected in found[at] else ", ".join(found[at])
    return Finding(seen, None, broken), expected


def play_missing(episode: Episode) -> tuple[Finding, str]:
    """Bars are missing in one to four runs; or none is, and the market was closed for the weekend and in between."""
    chance, grid = episode.random, _grid(episode)
    places = list(range(len(grid)))
    gone: set[int] = set()
    if episode.is_fault:
        for _ in range(chance.randint(1, 4)):
            first = chance.randrange(1, len(places) - 500)
            gone |= set(range(first, first + chance.choice((1, 1, 3, 60, 400))))
    stamps = [grid.at(place) for place in places if place not in gone]
    if chance.random() < 0.5:  # bars outside trading hours are no reason for a gap
        stamps = sorted({*stamps, *(grid.starts[-1] - MINUTE * chance.randint(60, 900) for _ in range(3))})
    expected = ", ".join(f"{run.first}-{run.last}" for run in runs_of(gone))
    episode.note(0, f"truth: {len(gone)} of {len(places)} bars gone, runs {expected or 'none'}")
    judged_by = _always(grid) if episode.is_eager else grid
    steps = pairwise(stamps)
    found = [] if episode.is_blind else list(missing_runs(judged_by, steps))
    seen = ", ".join(f"{run.first}-{run.last}" for run in found)
    episode.note(0, f"found: {seen or 'nothing'}")
    return Finding(seen), expected


def _always(grid: SlotGrid) -> SlotGrid:
    """Return a grid that knows no closed market."""
    first, last = grid.starts[0], grid.at(len(grid) - 1)
    return SlotGrid(grid.step, (first,), ((last - first) // grid.step + 1,), (0,))


BAR_SCENARIOS = (
    Scenario(
        "bars.wrong", "data quality", "a bar that cannot be is refused by name, one that is only odd is not", play_wrong
    ),
    Scenario(
        "bars.missing", "data quality", "missing bars are found exactly, closed markets are no gaps", play_missing
    ),
)
