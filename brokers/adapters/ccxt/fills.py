"""Reading every execution once, symbol by symbol, from the place a cursor names.

Exchanges list trades per symbol and number them per symbol, so the cursor holds one place for each:
``BTC/USDT=mwq8f0x1.28|ETH/USDT=mwq8f2k0.91``, the symbols that traded last at its end. What no longer fits is
remembered while the session lasts, and read from its beginning after that; executions are booked once
whatever is read twice.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from brokers.adapters.ccxt.errors import ParseError
from brokers.core.reports import FillPage, FillReport

CURSOR_MAX = 200
EVERY_SYMBOL = "*"
_REMEMBERED = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

Place = tuple[int, int, str]
"""When an execution happened (milliseconds) and its id, ordered by length first, so that numbers count as such."""


@dataclass(frozen=True, slots=True)
class TradePage:
    """Executions of one symbol, or of all, oldest first; ``is_last`` when nothing lies behind them yet."""

    fills: tuple[FillReport, ...]
    is_last: bool


ReadPage = Callable[[str, Place | None], Awaitable[TradePage]]
"""Reads the executions of one key behind a place, oldest first, as far as one request reaches."""


def place_of(fill: FillReport) -> Place:
    trade_id = fill.execution_id.removeprefix(f"{fill.symbol}:")
    return (fill.executed_at - _EPOCH) // timedelta(milliseconds=1), len(trade_id), trade_id


class FillReader:
    """Reads behind cursors, and remembers what its latest cursors had no room for."""

    def __init__(self) -> None:
        self._places: OrderedDict[str, dict[str, Place]] = OrderedDict()

    async def read(self, cursor: str, keys: Iterable[str], read_page: ReadPage) -> FillPage:
        """Return everything behind the cursor for the keys and the cursor's own, oldest first.

        Raises:
            ParseError: The cursor is not one, or a full page brought nothing new.
        """
        places = dict(self._places.get(cursor) or decode_cursor(cursor))
        found: list[tuple[Place, str, FillReport]] = []
        for key in dict.fromkeys((*places, *sorted(keys))):
            found += [(place_of(fill), key, fill) for fill in await _read_key(key, places.get(key), read_page)]
        found.sort(key=lambda item: (item[0], item[1]))
        fills = []
        for place, key, fill in found:
            places.pop(key, None)
            places[key] = place
            fills.append(replace(fill, cursor=self._remember(places)))
        return FillPage(tuple(fills), fills[-1].cursor if fills else cursor)

    def _remember(self, places: dict[str, Place]) -> str:
        cursor = encode_cursor(places)
        self._places[cursor] = dict(places)
        while len(self._places) > _REMEMBERED:
            self._places.popitem(last=False)
        return cursor


async def _read_key(key: str, place: Place | None, read_page: ReadPage) -> list[FillReport]:
    fills: list[FillReport] = []
    while True:
        page = await read_page(key, place)
        fresh = [fill for fill in page.fills if place is None or place_of(fill) > place]
        fills += fresh
        if page.is_last:
            return fills
        if not fresh:
            raise ParseError("a full page brought nothing new, so the list cannot be completed")
        place = max(place_of(fill) for fill in fresh)


def encode_cursor(places: dict[str, Place]) -> str:
    """Return the places as text of at most 200 characters, dropping those that are longest untouched."""
    parts: list[str] = []
    length = -1
    for key, (at, _, trade_id) in reversed(places.items()):
        part = f"{key}={_base36(at)}.{trade_id}"
        length += len(part) + 1
        if length > CURSOR_MAX:
            break
        parts.append(part)
    return "|".join(reversed(parts))


def decode_cursor(cursor: str) -> dict[str, Place]:
    """Return the place per key; raises ``ParseError`` for a text that is no cursor of this adapter."""
    places: dict[str, Place] = {}
    for part in filter(None, cursor.split("|")):
        key, _, place = part.partition("=")
        at, dot, trade_id = place.partition(".")
        try:
            places[key] = int(at, 36), len(trade_id), trade_id
        except ValueError:
            raise ParseError(f"not a cursor of fills: {cursor[:80]!r}") from None
        if not dot or not trade_id:
            raise ParseError(f"not a cursor of fills: {cursor[:80]!r}")
    return places


def _base36(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text or "0"
