"""Tell whoever waits for a feed that it went down: at once within a process, and soon from another one."""

import asyncio
from collections.abc import Collection
from contextlib import suppress

from brokers.services.streams.database import in_database
from reconciliation.services.market_data.feeds import feeds_up

_LOOK_SECONDS = 0.25  # feeds of other processes are looked at this often


class Outages:
    """The feeds that the readers of one process hold, as far as their ends concern each other."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def tell(self) -> None:
        """Wake everybody who waits: a feed is down, and its row says so."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_until_none_is_up(self, feeds: Collection[int]) -> None:
        """Return once none of these feeds is up.

        Raises:
            DatabaseError: their states cannot be read.
        """
        changed = self._changed  # before the look: what goes down after it is told
        while not (await in_database(feeds_up)).isdisjoint(feeds):
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await changed.wait()
            changed = self._changed
