"""Bad bars on a feed: every way in which a bar can be missing, late, doubled or impossible, between true ones."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import HTTPError

from config.chaos.faults.fault import BROKER_OF, Fault
from config.chaos.market import MINUTE, fresh_symbol, has_bar, is_complete, subscribe_feeds
from config.chaos.stack import BROKERS, Broker, wait_until

_TURNS, _TURN_SECONDS = 6, 15.0
BEFORE = 40  # true bars that say what is usual
Bar = Mapping[str, Any]


def _changed(**values: Any) -> Callable[[Bar, Bar], Bar]:
    return lambda bar, before: {**bar, **values}


def _scaled(factor: float) -> Callable[[Bar, Bar], Bar]:
    return lambda bar, before: {**bar, **{name: round(bar[name] * factor, 4) for name in "ohlc"}}


def _moved(delta: timedelta) -> Callable[[Bar, Bar], Bar]:
    return lambda bar, before: {**bar, "t": (datetime.fromisoformat(bar["t"]) + delta).isoformat()}


BAD: dict[str, Callable[[Bar, Bar], Bar]] = {
    "high below low": lambda bar, before: {**bar, "h": round(bar["l"] * 0.99, 4)},
    "low above open": lambda bar, before: {**bar, "l": round(bar["h"] * 1.01, 4)},
    "not a number": _changed(c="NaN"),
    "zero": _changed(o=0),
    "negative": lambda bar, before: {**bar, "l": -bar["l"]},
    "negative volume": lambda bar, before: {**bar, "v": -bar["v"]},
    "no close": _changed(c=None),
    "text": _changed(h="n/a"),
    "times ten": _scaled(10),
    "a tenth": _scaled(0.1),
    "bad print": _scaled(1.3),
    "wick": lambda bar, before: {**bar, "h": round(bar["h"] * 1.4, 4)},
    "stuck": lambda bar, before: {**before, "t": bar["t"]},
    "zone ahead": _moved(timedelta(hours=5)),
    "between two bars": _moved(timedelta(seconds=17)),
    "another version": lambda bar, before: {**before, "c": round((before["h"] + before["l"]) / 2 + 0.001, 4)},
}
"""What is made of a true bar, given the one before it."""


class BadBars(Fault):
    """Each kind of bad bar takes the place of a true one; others are missing, doubled, or late and out of order.

    The stream alone speaks meanwhile: the brokers' history is away until it heals, so that nothing is mended at once.
    """

    kind = "bad_bars"
    _switched_off: tuple[tuple[Broker, str], ...] = ()

    def begin(self) -> None:
        broker = BROKER_OF[self.target]
        symbol = fresh_symbol(self.stack)
        ways = list(BAD)
        self.chance.shuffle(ways)
        minutes = BEFORE + 3 * len(ways) + 10
        first = datetime.now(UTC).replace(second=0, microsecond=0) - minutes * MINUTE
        bars = self.stack.true_bars(broker, symbol, first, first + (minutes - 6) * MINUTE)
        self._switched_off = tuple(
            (one, self.stack.fault(one, "error", status=503, operation="data")) for one in BROKERS
        )
        subscribe_feeds(self.stack, symbol, since=first - MINUTE)
        wait_until(lambda: self.stack.send_bar(broker, symbol, bars[0]) > 0, "the feed listens to the symbol")
        self.mark()
        # A stream that broke meanwhile has lost what was under way; what came is known and changes nothing again.
        last = datetime.fromisoformat(bars[BEFORE + 3 * len(ways) - 1]["t"])
        for _ in range(_TURNS):
            self._send(broker, symbol, bars, ways)
            with suppress(AssertionError):
                wait_until(lambda: has_bar(self.stack, symbol, last), "all of it came", _TURN_SECONDS)
                return

    def _send(self, broker: Broker, symbol: str, bars: Sequence[Bar], ways: Sequence[str]) -> None:
        for bar in bars[1:BEFORE]:
            self.stack.send_bar(broker, symbol, bar)
        for number, way in enumerate(ways):
            place = BEFORE + 3 * number
            self.stack.send_bar(broker, symbol, BAD[way](bars[place], bars[place - 1]))
            self.stack.send_bar(broker, symbol, bars[place + 2])  # the one between them is missing, or comes late
            if self.chance.random() < 0.5:
                self.stack.send_bar(broker, symbol, bars[place + 1])
            if self.chance.random() < 0.5:
                self.stack.send_bar(broker, symbol, bars[place + 2])

    def heal(self) -> None:
        for broker, number in self._switched_off:
            with suppress(HTTPError):  # swept away already
                self.stack.end_fault(broker, number)
        self._switched_off = ()

    def is_back(self) -> bool:
        return is_complete(self.stack)


FAULTS = (BadBars,)
