"""Keep a reader on every enabled feed. Several processes may run; one holds each feed, the others stand by."""

import asyncio
import logging

from django.db import DatabaseError

from brokers.services.streams.database import in_database
from reconciliation.services.market_data.feed_outages import Outages
from reconciliation.services.market_data.feed_reader import FeedReader
from reconciliation.services.market_data.feeds import FeedProfile, list_feeds

_LOOK_SECONDS = 1.0

logger = logging.getLogger(__name__)


async def keep_feeds() -> None:
    """Read all feeds until cancelled; a failure of the supervisor itself starts it again."""
    while True:
        try:
            await FeedSupervisor().run()
        except Exception:
            logger.exception("the feeds are read anew")
            await asyncio.sleep(_LOOK_SECONDS)


class FeedSupervisor:
    """Starts, restarts and ends readers as feeds and their subscriptions change."""

    def __init__(self) -> None:
        self._readers: dict[int, tuple[FeedProfile, asyncio.Task[None]]] = {}
        self._outages = Outages()

    async def run(self) -> None:
        try:
            while True:
                try:
                    await self._follow(await in_database(list_feeds))
                except DatabaseError:
                    logger.warning("the feeds cannot be read; the known ones go on")
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await self._end(list(self._readers))

    async def _follow(self, feeds: list[FeedProfile]) -> None:
        wanted = {feed.id: feed for feed in feeds if feed.series}
        changed = [key for key, (feed, _) in self._readers.items() if wanted.get(key) != feed]
        await self._end(changed)
        for key, feed in wanted.items():
            known = self._readers.get(key)
            if known is not None and not known[1].done():
                continue
            if known is not None and not known[1].cancelled() and (failure := known[1].exception()) is not None:
                logger.error("a feed's reader failed", extra={"feed": feed.name}, exc_info=failure)
            task = asyncio.create_task(FeedReader(feed, self._outages).run())
            self._readers[key] = (feed, task)

    async def _end(self, keys: list[int]) -> None:
        tasks = [self._readers.pop(key)[1] for key in keys]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
