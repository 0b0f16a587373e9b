"""Read one feed: hold its lease, keep its stream up, and hand its bars to the intake.

The primary's bars are taken at once. An alternative's wait ``PATIENCE_SECONDS`` for the primary's while that is up,
and are taken where none came; while it is down, or as soon as it goes down, they are taken at once.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError

from brokers.adapters.errors import BrokerCallError, StreamLostError
from brokers.core.reports import ReportedBar
from brokers.services.accounts import AccountProfile
from brokers.services.market_data import BarSource, find_account, streams_bars
from brokers.services.streams.database import in_database
from reconciliation.core.bars import instant
from reconciliation.core.deliveries import Delivery
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import Bar, Feed
from reconciliation.services.market_data.feed_outages import Outages
from reconciliation.services.market_data.feeds import FeedProfile, feeds_of, feeds_up, note_feed_state
from reconciliation.services.market_data.intake import Intake, Origin, Source, take_deliveries
from reconciliation.services.market_data.last_ticks import TickFollower
from reliability.core.errors import ReliabilityError
from reliability.services.pulse import Slot

PATIENCE_SECONDS = 3.0
FEED_SLOT_BASE = 500_000
_STANDBY_SECONDS = 1.0
_POLL_SECONDS = 5.0
_TICK_POLL_SECONDS = 10.0
_LOOK_BACK = timedelta(minutes=10)
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 10.0

Asked = tuple[float, float] | None
"""The first and the last stamp of a question; None for what comes by itself."""

logger = logging.getLogger(__name__)


class FeedReader:
    """Reads one feed for as long as ``run`` is not cancelled and its profile stands."""

    def __init__(self, feed: FeedProfile, outages: Outages) -> None:
        self.feed = feed
        self._outages = outages
        self._up = False
        self._slot = Slot(FEED_SLOT_BASE + feed.id, f"feed {feed.name}")
        self._ticks = TickFollower(feed)
        self._waiting: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        try:
            while not await asyncio.to_thread(self._slot.hold):  # noqa: ASYNC110  # another process decides
                await asyncio.sleep(_STANDBY_SECONDS)
            await self._read()
        finally:
            for task in self._waiting:
                task.cancel()
            self._slot.leave()

    async def _read(self) -> None:
        wait = _FIRST_WAIT
        while True:
            try:
                account = await in_database(lambda: find_account(self.feed.address.account))
                async with aclosing(self._rounds(account)) as rounds:
                    async for _ in rounds:
                        wait = _FIRST_WAIT
            except (StreamLostError, BrokerCallError, ReliabilityError, DatabaseError) as error:
                await self._note(Feed.State.DOWN, str(error))
            if not await asyncio.to_thread(self._slot.hold):
                return
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _rounds(self, account: AccountProfile) -> AsyncGenerator[None, None]:
        """Open the source, and yield whenever something was heard of it."""
        source = BarSource(self.feed.address, account)
        try:
            is_stream = streams_bars(self.feed.address, account)
            async with aclosing(self._stream(source) if is_stream else self._poll(source)) as rounds:
                async for _ in rounds:
                    yield
        finally:
            await source.close()

    async def _stream(self, source: BarSource) -> AsyncGenerator[None, None]:
        stream = source.stream_market(sorted(self.feed.symbols), self.feed.tick_symbols)
        fetching = asyncio.create_task(self._ticks.fetch(source))
        try:
            async with aclosing(stream) as heard:
                async for news in heard:
                    if news is None:
                        await self._heard()
                    else:
                        self._ticks.note(news.ticks)
                        await self._take(news.bars)
                    await self._ticks.write()
                    yield
        finally:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)

    async def _poll(self, source: BarSource) -> AsyncGenerator[None, None]:
        """Ask for the newest bars of each series every few seconds, and less often for the last quotes and trades."""
        asked_at = float("-inf")
        while True:
            for _, symbol, timeframe in self.feed.series:
                now = datetime.now(UTC)
                start = now - max(_LOOK_BACK, 3 * timeframe.step)
                end = now - timeframe.step
                page = await source.fetch_bars(symbol, timeframe.value, start, end, "")
                await self._heard()
                await self._take(page.bars, timeframe, (start.timestamp(), end.timestamp()))
            if time.monotonic() - asked_at >= _TICK_POLL_SECONDS:
                asked_at = time.monotonic()
                await self._ticks.fetch(source)
            await self._ticks.write()
            yield
            await asyncio.sleep(_POLL_SECONDS)

    async def _heard(self) -> None:
        if not self._up:
            await self._note(Feed.State.UP, "")

    async def _note(self, state: Feed.State, error: str) -> None:
        self._up = state is Feed.State.UP
        if not self._up:
            self._ticks.interrupt()
        try:
            await in_database(lambda: note_feed_state(self.feed.id, state, error=error))
        except DatabaseError as problem:
            logger.warning("feed state not noted", extra={"feed": self.feed.name, "error": str(problem)})
        if not self._up:
            self._outages.tell()

    async def _take(
        self, bars: Sequence[ReportedBar], timeframe: Timeframe = Timeframe.MINUTE, asked: Asked = None
    ) -> None:
        deliveries = [Delivery(bar.symbol, bar.given, bar.is_revision) for bar in bars]
        if not deliveries:
            return
        now = datetime.now(UTC)
        for delivery in deliveries:
            if (stamp := delivery.stamp()) is not None and stamp <= now.timestamp():
                self._ticks.note_bar(delivery.symbol, instant(stamp))
        mine, others, awaited = await in_database(lambda: _split(self.feed, deliveries, timeframe))
        if mine:
            await in_database(lambda: take(self.feed, timeframe, mine, now, asked))
        if others:
            task = asyncio.create_task(self._take_what_lacks(others, timeframe, asked, awaited))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    async def _take_what_lacks(
        self, deliveries: Sequence[Delivery], timeframe: Timeframe, asked: Asked, awaited: frozenset[int]
    ) -> None:
        """Give the feeds before this one time for their own bars while any is up, then take those that did not come."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._outages.wait_until_none_is_up(awaited)
            await in_database(lambda: take_missing(self.feed, timeframe, deliveries, datetime.now(UTC), asked))
        except DatabaseError:
            logger.exception("bars of an alternative feed were not taken", extra={"feed": self.feed.name})


def take(
    feed: FeedProfile, timeframe: Timeframe, deliveries: Sequence[Delivery], now: datetime, asked: Asked = None
) -> Intake:
    """Take in what a feed's stream brought, or what it answered when it was asked for the newest bars."""
    source = Source(feed.name, Origin.STREAM, feed.late_seconds, asked)
    taken = take_deliveries(source, timeframe, deliveries, now=now)
    Feed.objects.filter(pk=feed.id).update(last_bar_at=now)
    return taken


def take_missing(
    feed: FeedProfile, timeframe: Timeframe, deliveries: Sequence[Delivery], now: datetime, asked: Asked = None
) -> Intake:
    """Take in the bars of an alternative that no other source brought."""
    stamps = [one.stamp() for one in deliveries]
    rows = Bar.objects.filter(
        series__symbol__in={one.symbol for one in deliveries},
        series__timeframe=timeframe.value,
        opened_at__in=[instant(stamp) for stamp in stamps if stamp is not None],
    ).values_list("series__symbol", "opened_at")
    there = {(symbol, int(opened_at.timestamp())) for symbol, opened_at in rows}
    lacking = [one for one, stamp in zip(deliveries, stamps, strict=True) if (one.symbol, stamp) not in there]
    return take(feed, timeframe, lacking, now, asked) if lacking else Intake()


def _split(
    feed: FeedProfile, deliveries: Sequence[Delivery], timeframe: Timeframe
) -> tuple[list[Delivery], list[Delivery], frozenset[int]]:
    """Part deliveries into those to take now and those that a feed before this one may still bring; and name those."""
    up = feeds_up()
    awaited: dict[str, frozenset[int]] = {}
    for series_id, symbol, wanted in feed.series:
        if wanted is timeframe:
            ranked = [one.id for one in feeds_of(series_id)]
            earlier = ranked[: ranked.index(feed.id)] if feed.id in ranked else ranked
            awaited[symbol] = frozenset(up.intersection(earlier))
    mine = [one for one in deliveries if not awaited.get(one.symbol)]
    others = [one for one in deliveries if awaited.get(one.symbol)]
    return mine, others, frozenset().union(*(awaited[one.symbol] for one in others))
