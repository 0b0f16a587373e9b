"""Follow the last quotes and trades of one feed: in memory as they come, in the database once in a few seconds."""

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, connection

from brokers.adapters.errors import BrokerCallError
from brokers.core.reports import ReportedTick, TickKind
from brokers.services.market_data import BarSource
from brokers.services.streams.database import in_database
from reconciliation.core.ticks import QUOTE, TRADE, SymbolTicks, TickBook
from reconciliation.services.market_data.feeds import FeedProfile

WRITE_SECONDS = 2.0
_FIELDS = {TickKind.QUOTE: QUOTE, TickKind.TRADE: TRADE}
# A process that takes over knows nothing yet: what it does not know stays, and nothing goes back in time.
_WRITE = """
INSERT INTO reconciliation_lasttick AS last (feed_id, symbol, quote_at, bid, ask, trade_at, price, size, bar_at,
                                             habit_seconds, refused, refused_reason, written_at)
SELECT %(feed)s, symbol, quote_at, bid, ask, trade_at, price, size, bar_at, habit, refused, reason,
       statement_timestamp()
FROM unnest(%(symbols)s::text[], %(quote_at)s::timestamptz[], %(bid)s::numeric[], %(ask)s::numeric[],
            %(trade_at)s::timestamptz[], %(price)s::numeric[], %(size)s::numeric[], %(bar_at)s::timestamptz[],
            %(habit)s::integer[], %(refused)s::integer[], %(reason)s::text[])
     AS tick (symbol, quote_at, bid, ask, trade_at, price, size, bar_at, habit, refused, reason)
ON CONFLICT (feed_id, symbol) DO UPDATE SET
    bid = CASE WHEN excluded.quote_at >= coalesce(last.quote_at, '-infinity') THEN excluded.bid ELSE last.bid END,
    ask = CASE WHEN excluded.quote_at >= coalesce(last.quote_at, '-infinity') THEN excluded.ask ELSE last.ask END,
    quote_at = greatest(excluded.quote_at, last.quote_at),
    price = CASE WHEN excluded.trade_at >= coalesce(last.trade_at, '-infinity') THEN excluded.price ELSE last.price END,
    size = CASE WHEN excluded.trade_at >= coalesce(last.trade_at, '-infinity') THEN excluded.size ELSE last.size END,
    trade_at = greatest(excluded.trade_at, last.trade_at),
    bar_at = greatest(excluded.bar_at, last.bar_at),
    habit_seconds = coalesce(excluded.habit_seconds, last.habit_seconds),
    refused = last.refused + excluded.refused,
    refused_reason = CASE WHEN excluded.refused > 0 THEN excluded.refused_reason ELSE last.refused_reason END,
    written_at = excluded.written_at
"""

logger = logging.getLogger(__name__)


class TickFollower:
    """The last quotes and trades of one feed, and what is to be written of them."""

    def __init__(self, feed: FeedProfile) -> None:
        self._feed = feed
        self._book = TickBook()
        self._written_at = float("-inf")

    def note(self, ticks: Sequence[ReportedTick]) -> None:
        now = datetime.now(UTC)
        for tick in ticks:
            if tick.symbol in self._feed.tick_symbols:
                self._book.note(tick.symbol, _FIELDS[tick.kind], tick.given, now)

    def note_bar(self, symbol: str, begins_at: datetime) -> None:
        if any(symbol == known for _, known, _ in self._feed.series):
            self._book.note_bar(symbol, begins_at)

    def interrupt(self) -> None:
        """The source was away: that no symbol was heard meanwhile says nothing about its habit."""
        self._book.interrupt()

    async def fetch(self, source: BarSource) -> None:
        """Ask for the last quote and trade of each symbol; a source that refuses delivers its bars all the same."""
        try:
            self.note(await source.fetch_ticks(self._feed.tick_symbols))
        except BrokerCallError as error:
            logger.warning("no last quotes and trades", extra={"feed": self._feed.name, "error": str(error)})

    async def write(self) -> None:
        """Write what changed, unless that was done a moment ago; the database away delays it."""
        if time.monotonic() - self._written_at < WRITE_SECONDS:
            return
        self._written_at = time.monotonic()
        rows = self._book.take_changes()
        if not rows:
            return
        try:
            await in_database(lambda: write_ticks(self._feed.id, rows))
        except DatabaseError as error:
            logger.warning("last quotes not written", extra={"feed": self._feed.name, "error": str(error)})


def write_ticks(feed_id: int, rows: Sequence[SymbolTicks]) -> None:
    """Write the last ticks of symbols of one feed, all in one statement."""
    quotes = [one.quote.numbers if one.quote else (None, None) for one in rows]
    trades = [one.trade.numbers if one.trade else (None, None) for one in rows]
    parameters: Any = {
        "feed": feed_id,
        "symbols": [one.symbol for one in rows],
        "quote_at": [one.quote.at if one.quote else None for one in rows],
        "bid": [bid for bid, _ in quotes],
        "ask": [ask for _, ask in quotes],
        "trade_at": [one.trade.at if one.trade else None for one in rows],
        "price": [price for price, _ in trades],
        "size": [size for _, size in trades],
        "bar_at": [one.bar_at for one in rows],
        "habit": [one.habit_seconds for one in rows],
        "refused": [one.refused for one in rows],
        "reason": [one.refused_reason for one in rows],
    }
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, parameters)
