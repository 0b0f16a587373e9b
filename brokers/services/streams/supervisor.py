"""Order streams: one process holds each account's stream, others stand by.

A stream is a fast source of evidence and never the only one: after each (re)connect, once
the subscription stands, the account is synchronized, and the schedule does it again.
"""

import asyncio
import logging
from collections.abc import Sequence

from brokers.services.accounts import AccountProfile, list_profiles
from brokers.services.life_signs import LifeSigns
from brokers.services.streams.account import AccountStream
from brokers.services.streams.activity import Activity, ActivityReader
from brokers.services.streams.companions import list_companions
from brokers.services.streams.database import in_database
from reliability.services.jobs.execution import DatabaseUnavailable
from reliability.services.pulse import Pulse

_ACCOUNTS_SECONDS = 1.0
_ACTIVITY_SECONDS = 0.2

logger = logging.getLogger(__name__)


class StreamSupervisor:
    """Keeps one ``AccountStream`` per account running until it is cancelled, and looks for signs of life."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._streams: dict[int, AccountStream] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._life_signs = LifeSigns()

    async def run(self) -> None:
        watching = asyncio.create_task(self._watch_activity())
        companions = [asyncio.create_task(companion()) for companion in list_companions()]
        try:
            await self._keep_streams()
        finally:
            self._life_signs.cancel()
            tasks = [watching, *companions, *self._tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_streams(self) -> None:
        profiles: list[AccountProfile] = []
        while True:
            try:
                profiles = await in_database(list_profiles)
            except DatabaseUnavailable:
                logger.warning("the accounts cannot be read; the known ones go on")
            self._life_signs.look(profiles)
            for profile in (one for one in profiles if one.adapter.capabilities.streams_orders):
                task = self._tasks.get(profile.id)
                if task is None or task.done():
                    stream = self._streams[profile.id] = AccountStream(profile.id, self._pulse)
                    self._tasks[profile.id] = asyncio.create_task(stream.run())
            await asyncio.sleep(_ACCOUNTS_SECONDS)

    async def _watch_activity(self) -> None:
        """Hand what replies and polls told to the streams, which must tell of it as well."""
        reader = ActivityReader()
        while True:
            await asyncio.sleep(_ACTIVITY_SECONDS)
            held = [account for account, stream in self._streams.items() if stream.is_held]
            try:
                known, stuck = await in_database(lambda accounts=held: _read(reader, accounts))  # type: ignore[misc]
            except DatabaseUnavailable:
                continue
            for activity in known:
                self._streams[activity.account_id].learn(activity)
            for account in stuck:
                self._streams[account].doubt()


def _read(reader: ActivityReader, accounts: Sequence[int]) -> tuple[list[Activity], set[int]]:
    return reader.read(accounts), reader.find_stuck(accounts)
