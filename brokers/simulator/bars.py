"""Historical bars out of a seed: the same symbol, timeframe and instant always give the same bar."""

import hashlib
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from brokers.simulator.instruments import Instrument

UNITS = {
    "min": timedelta(minutes=1),
    "t": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "h": timedelta(hours=1),
    "day": timedelta(days=1),
    "d": timedelta(days=1),
    "week": timedelta(weeks=1),
    "w": timedelta(weeks=1),
}
TIMEFRAME = re.compile(r"(\d{1,3})(min|hour|day|week|[thdw])", re.IGNORECASE)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SWINGS = ((86400 * 30, 0.05), (86400 * 3, 0.02), (3600 * 5, 0.008), (60 * 17, 0.002))


@dataclass(frozen=True, slots=True)
class Timeframe:
    length: timedelta

    @classmethod
    def parse(cls, text: str) -> "Timeframe | None":
        """Find the timeframe written as ``1Min``, ``15Min``, ``1Hour``, ``1Day``, ``1Week``; None if it is none."""
        match = TIMEFRAME.fullmatch(text)
        if match is None or int(match[1]) == 0:
            return None
        return cls(int(match[1]) * UNITS[match[2].lower()])

    def floor(self, at: datetime) -> datetime:
        return EPOCH + (at - EPOCH) // self.length * self.length

    def ceil(self, at: datetime) -> datetime:
        floor = self.floor(at)
        return floor if floor == at else floor + self.length


def _draws(seed: int, symbol: str, salt: str) -> list[float]:
    digest = hashlib.blake2b(f"{seed}/{symbol}/{salt}".encode(), digest_size=16).digest()
    return [int.from_bytes(digest[i : i + 4]) / 2**32 for i in range(0, 16, 4)]


def price_at(instrument: Instrument, seed: int, at: datetime) -> float:
    """Return the price the history gives at an instant: slow seeded swings around the base price, and some noise."""
    seconds = (at - EPOCH).total_seconds()
    phases = _draws(seed, instrument.symbol, "phase")
    swing = sum(
        size * math.sin(2 * math.pi * (seconds / period + phase))
        for (period, size), phase in zip(SWINGS, phases, strict=True)
    )
    noise = (_draws(seed, instrument.symbol, str(int(seconds)))[0] - 0.5) * 0.002
    return round(float(instrument.base_price) * (1 + swing + noise), 2)


def bar_at(instrument: Instrument, seed: int, timeframe: Timeframe, start: datetime) -> dict[str, Any]:
    """Return the bar that starts at ``start``, as Alpaca's market data API writes it."""
    opening = price_at(instrument, seed, start)
    closing = price_at(instrument, seed, start + timeframe.length)
    up, down, busy, trades = _draws(seed, instrument.symbol, f"{start.timestamp():.0f}/{timeframe.length}")
    high = round(max(opening, closing) * (1 + up * 0.002), 2)
    low = round(min(opening, closing) * (1 - down * 0.002), 2)
    volume = int((100 + busy * 5000) * (timeframe.length / timedelta(minutes=1)))
    return {
        "t": start.isoformat().replace("+00:00", "Z"),
        "o": opening,
        "h": high,
        "l": low,
        "c": closing,
        "v": volume,
        "n": 1 + int(volume * trades / 20),
        "vw": round((opening + closing + high + low) / 4, 6),
    }
