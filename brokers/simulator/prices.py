"""A moving price per symbol: a seeded random walk, the same for the same seed and number of ticks."""

import random
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from brokers.simulator.instruments import Instrument


@dataclass(frozen=True, slots=True)
class Quote:
    bid: Decimal
    ask: Decimal


class PriceWalk:
    """The price of one symbol. It keeps within a quarter and four times the base price."""

    def __init__(self, instrument: Instrument, seed: int, volatility: float) -> None:
        self.instrument = instrument
        self.price = instrument.base_price
        self.held = False
        self._volatility = volatility
        self._draws = random.Random(f"{seed}/{instrument.symbol}")  # noqa: S311 -- reproducible, not secret

    def step(self) -> None:
        """Move the price by one tick, unless it is held where somebody put it."""
        change = Decimal(self._draws.gauss(0.0, self._volatility))
        if self.held:
            return
        base = self.instrument.base_price
        moved = min(max(self.price * (1 + change), base / 4), base * 4)
        increment = self.instrument.price_increment
        self.price = max(moved.quantize(increment, rounding=ROUND_DOWN), increment)

    def put(self, price: Decimal, *, held: bool) -> None:
        self.price = price
        self.held = held

    @property
    def quote(self) -> Quote:
        """Return what a seller gets and a buyer pays: one price increment apart."""
        return Quote(bid=self.price, ask=self.price + self.instrument.price_increment)
