"""The last quote and trade of each symbol of one feed, in memory: what is new, and how long it is usually silent."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from reconciliation.core.bars import read_moment, read_number
from reconciliation.core.staleness import FEWEST, MOST_SECONDS, usual_seconds

QUOTE = ("bid", "ask")
TRADE = ("price", "size")
_AHEAD = timedelta(seconds=5)  # more than clocks differ: a wrong zone, or a source that dreams
_KEPT = 1_000
_LEARNED_EVERY = 50


@dataclass(frozen=True, slots=True)
class Tick:
    """One quote (bid, ask) or trade (price, size). ``at`` is the source's time, or ours where it gives none."""

    at: datetime
    numbers: tuple[Decimal | None, ...]


@dataclass(slots=True)
class SymbolTicks:
    """What is known of one symbol. ``refused`` counts what could not be believed since the last time it was asked."""

    symbol: str
    quote: Tick | None = None
    trade: Tick | None = None
    bar_at: datetime | None = None
    habit_seconds: int | None = None
    refused: int = 0
    refused_reason: str = ""
    newest: datetime | None = None
    silences: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    unlearned: int = 0

    def last_of(self, fields: tuple[str, ...]) -> Tick | None:
        return self.quote if fields is QUOTE else self.trade

    def follow(self, fields: tuple[str, ...], tick: Tick) -> None:
        """Take the newest quote or trade, and learn from how long there was none."""
        if fields is QUOTE:
            self.quote = tick
        else:
            self.trade = tick
        if self.newest is not None and tick.at > self.newest:
            silence = (tick.at - self.newest).total_seconds()
            if silence <= MOST_SECONDS:
                self.silences.append(silence)
                self.unlearned += 1
        self.newest = tick.at if self.newest is None else max(self.newest, tick.at)
        if self.unlearned >= (_LEARNED_EVERY if self.habit_seconds else FEWEST):
            self.habit_seconds, self.unlearned = usual_seconds(self.silences), 0


class TickBook:
    """The symbols of one feed. One event loop uses it."""

    def __init__(self) -> None:
        self._symbols: dict[str, SymbolTicks] = {}
        self._changed: set[str] = set()

    def note(self, symbol: str, fields: tuple[str, ...], given: Mapping[str, Any], now: datetime) -> None:
        """Take a quote (``QUOTE``) or a trade (``TRADE``) as it came; older ones than the last change nothing."""
        one = self._symbols.setdefault(symbol, SymbolTicks(symbol))
        try:
            tick = _read(fields, given, one.last_of(fields), now)
        except ValueError as problem:
            one.refused, one.refused_reason = one.refused + 1, str(problem)[:200]
            self._changed.add(symbol)
            return
        if tick is not None:
            one.follow(fields, tick)
            self._changed.add(symbol)

    def note_bar(self, symbol: str, begins_at: datetime) -> None:
        one = self._symbols.setdefault(symbol, SymbolTicks(symbol))
        if one.bar_at is None or begins_at > one.bar_at:
            one.bar_at = begins_at
            self._changed.add(symbol)

    def interrupt(self) -> None:
        """Forget when anything was last heard: while the source was away, no symbol was silent."""
        for one in self._symbols.values():
            one.newest = None

    def take_changes(self) -> list[SymbolTicks]:
        """Return the symbols of which anything changed since the last time; what was refused counts from 0 again."""
        changed = [replace(self._symbols[symbol]) for symbol in sorted(self._changed)]
        for one in changed:
            self._symbols[one.symbol].refused = 0
        self._changed.clear()
        return changed


def _read(fields: tuple[str, ...], given: Mapping[str, Any], last: Tick | None, now: datetime) -> Tick | None:
    """Return what is new, or None for what is known already.

    Raises:
        ValueError: it cannot be read or believed; the message says why.
    """
    numbers = tuple(_number(name, given.get(name)) for name in fields)
    needed = numbers[:1] if fields is TRADE else numbers
    if not any(number for number in needed if number is not None):
        raise ValueError(f"{' and '.join(fields)} are empty or zero")
    moment = given.get("timestamp")
    if moment is None:  # the source does not say when: it is new when it differs
        return None if last is not None and last.numbers == numbers else Tick(now, numbers)
    at = read_moment(moment)
    if at > now + _AHEAD:
        raise ValueError(f"its time is ahead of ours: {at.isoformat()}")
    return None if last is not None and at <= last.at else Tick(at, numbers)


def _number(name: str, given: Any) -> Decimal | None:
    if given is None:
        return None
    number = read_number(name, given)
    if not number.is_finite() or number < 0:
        raise ValueError(f"{name} is {number}")
    return number
