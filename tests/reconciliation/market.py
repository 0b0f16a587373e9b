"""A market made from a seed: plausible minute bars of one session, and what feeds do to them."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from reconciliation.core.bars import FIELDS, stamp_text
from reconciliation.core.deliveries import Delivery

OPEN = int(datetime(2024, 7, 8, 13, 30, tzinfo=UTC).timestamp())  # a Monday, XNAS opens
MINUTE = 60


@dataclass(frozen=True)
class Minute:
    """One true bar."""

    stamp: int
    numbers: tuple[float, float, float, float, float]

    def delivery(self, symbol: str, **changes: object) -> Delivery:
        given = {"timestamp": stamp_text(self.stamp), **dict(zip(FIELDS, self.numbers, strict=True)), **changes}
        return Delivery(symbol, given)


def walk(draw: random.Random, minutes: int, start: int = OPEN, price: float = 100.0) -> list[Minute]:
    """Return consecutive minutes of a price that moves about five hundredths of a per cent each."""
    bars = []
    for number in range(minutes):
        close = price * (1 + draw.gauss(0, 0.0005))
        high = max(price, close) * (1 + abs(draw.gauss(0, 0.0002)))
        low = min(price, close) * (1 - abs(draw.gauss(0, 0.0002)))
        numbers = (round(price, 4), round(high + 0.0001, 4), round(low - 0.0001, 4), round(close, 4))
        bars.append(Minute(start + number * MINUTE, (*numbers, float(draw.randint(800, 1500)))))
        price = numbers[3]
    return bars


def scaled(bar: Minute, factor: float) -> dict[str, object]:
    return dict(zip(FIELDS[:4], (round(number * factor, 6) for number in bar.numbers[:4]), strict=True))


Corruption = Callable[[Minute, Minute, random.Random], dict[str, object]]
"""Changes to a true bar, given the bar before."""

BAD: dict[str, Corruption] = {
    "high below low": lambda bar, before, draw: {"high": bar.numbers[2] * 0.99},
    "high below close": lambda bar, before, draw: {"high": min(bar.numbers[0], bar.numbers[3]) * 0.999},
    "low above open": lambda bar, before, draw: {"low": bar.numbers[1] * 1.001},
    "NaN": lambda bar, before, draw: {draw.choice(FIELDS[:4]): float("nan")},
    "infinite": lambda bar, before, draw: {"high": float("inf")},
    "zero": lambda bar, before, draw: {draw.choice(FIELDS[:4]): 0},
    "negative": lambda bar, before, draw: {"low": -bar.numbers[2]},
    "times ten": lambda bar, before, draw: scaled(bar, 10),
    "a tenth": lambda bar, before, draw: scaled(bar, 0.1),
    "cents for dollars": lambda bar, before, draw: scaled(bar, 100),
    "negative volume": lambda bar, before, draw: {"volume": -bar.numbers[4]},
    "no volume": lambda bar, before, draw: {"volume": None},
    "text": lambda bar, before, draw: {draw.choice(FIELDS): "n/a"},
    "field missing": lambda bar, before, draw: {draw.choice(FIELDS): ""},
    "no time": lambda bar, before, draw: {"timestamp": draw.choice(["", "12:31", "08/07/2024"])},
    "tomorrow": lambda bar, before, draw: {"timestamp": stamp_text(bar.stamp + 86_400)},
    "zone ahead": lambda bar, before, draw: {"timestamp": stamp_text(bar.stamp + draw.choice([2, 4, 5]) * 3600)},
    "zone behind": lambda bar, before, draw: {"timestamp": stamp_text(bar.stamp - draw.choice([2, 4, 5]) * 3600)},
    "between two bars": lambda bar, before, draw: {"timestamp": stamp_text(bar.stamp + draw.randint(1, 59))},
    "market closed": lambda bar, before, draw: {"timestamp": stamp_text(OPEN - draw.randint(1, 10) * MINUTE)},
    "another version": lambda bar, before, draw: {
        "timestamp": stamp_text(before.stamp),
        **dict(zip(FIELDS, (round(one * 1.0004, 4) for one in before.numbers), strict=True)),
    },
    "bad print": lambda bar, before, draw: scaled(bar, draw.choice([0.9, 0.95, 1.05, 1.2, 1.9])),
    "bad high": lambda bar, before, draw: {"high": bar.numbers[1] * draw.uniform(1.03, 1.4)},
    "stuck": lambda bar, before, draw: dict(zip(FIELDS, before.numbers, strict=True)),
}


def shift(bars: list[Minute], place: int, factor: float, volume: float) -> None:
    """Move the price level from a bar on: news."""
    for later in range(place, len(bars)):
        numbers = tuple(round(one * factor, 6) for one in bars[later].numbers[:4])
        bars[later] = Minute(bars[later].stamp, (*numbers, bars[later].numbers[4]))
    first = bars[place].numbers
    bars[place] = Minute(bars[place].stamp, (*first[:4], volume))


def plunge(draw: random.Random, bars: list[Minute], place: int) -> None:
    """A minute of panic and back: true, and it shows in the volume."""
    o, h, _, c, v = bars[place].numbers
    bars[place] = Minute(bars[place].stamp, (o, h, round(o * draw.uniform(0.85, 0.97), 4), c, v * 9))


def quiet(draw: random.Random, bars: list[Minute], place: int) -> None:
    price = bars[place - 1].numbers[3]
    bars[place] = Minute(bars[place].stamp, (price, price, price, price, 0.0))


def again(draw: random.Random, bars: list[Minute], place: int) -> None:
    """One trade at one price, twice the same size: equal bars of a quiet symbol."""
    price = bars[place - 1].numbers[3]
    for one in (place, place + 1):
        bars[one] = Minute(bars[one].stamp, (price, price, price, price, 100.0))


def volume(factor: float):
    def change(draw: random.Random, bars: list[Minute], place: int) -> None:
        bars[place] = Minute(bars[place].stamp, (*bars[place].numbers[:4], round(bars[place].numbers[4] * factor)))

    return change


ODD = {
    "good news": lambda draw, bars, place: shift(bars, place, draw.uniform(1.02, 1.6), 90_000.0),
    "news without volume": lambda draw, bars, place: shift(bars, place, draw.uniform(0.7, 0.97), 1000.0),
    "split": lambda draw, bars, place: shift(bars, place, 0.5, 1200.0),
    "panic": plunge,
    "no trade": quiet,
    "one trade twice": again,
    "block trade": volume(400),
    "one share": volume(0.001),
}


def make_odd(draw: random.Random, bars: list[Minute]) -> set[int]:
    """Make some bars of a session odd and true, in place; returns their places."""
    places = draw.sample(range(30, len(bars) - 12, 13), 6)
    for place, way in zip(places, draw.sample(sorted(ODD), 6), strict=True):
        ODD[way](draw, bars, place)
    return set(places)
