"""One connection of an account's order stream: connected at once, then with backoff, as long as it is wanted."""

import asyncio
import logging
import random
import sys
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

from brokers.adapters.errors import BrokerCallError, StreamLostError
from brokers.adapters.interface import AccountSettings, BrokerSession
from brokers.core.reports import StreamEvent
from brokers.core.streams import Endpoint
from brokers.services.accounts import AccountProfile, get_profile
from brokers.services.streams.database import in_database
from reliability.core.retry import RetryPolicy, backoff_delay
from reliability.services import tracing

RECONNECT = RetryPolicy(delay_initial=timedelta(milliseconds=100), delay_max=timedelta(seconds=5))
SILENT_CODE = "NETWORK_STREAM_SILENT"
_STABLE_SECONDS = 10.0
_UNWANTED_SECONDS = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Connected:
    """The subscription of an endpoint stands."""

    endpoint: Endpoint
    at: float


@dataclass(frozen=True, slots=True)
class Heard:
    """An event, or a sign of life for None."""

    endpoint: Endpoint
    at: float
    event: StreamEvent | None


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection of an endpoint ended; ``mute`` when it was given up because it did not tell what it should."""

    endpoint: Endpoint
    at: float
    error: StreamLostError
    mute: bool


News = Connected | Heard | Lost


class Link:
    """Follows the stream of one endpoint and tells what happens, in order."""

    def __init__(self, account_id: int, endpoint: Endpoint, tell: Callable[[News], None]) -> None:
        self._account_id = account_id
        self._endpoint = endpoint
        self._tell = tell
        self._following: asyncio.Task[None] | None = None
        self._given_up: StreamLostError | None = None
        self._failures = 0

    async def run(self) -> None:
        while True:
            started = time.monotonic()
            settings, profile = await self._settings()
            if settings is None:
                await asyncio.sleep(_UNWANTED_SECONDS)
                continue
            error = await self._follow_until_lost(profile, settings)
            self._tell(Lost(self._endpoint, time.monotonic(), error, self._given_up is not None))
            self._given_up = None
            self._failures = 0 if time.monotonic() - started > _STABLE_SECONDS else self._failures + 1
            facts = {"account": self._account_id, "endpoint": self._endpoint.value, "reason": str(error)}
            logger.warning("order stream lost", extra=facts)
            if self._failures > 1:
                delay = backoff_delay(RECONNECT, self._failures - 1, random.random())  # noqa: S311  # jitter
                await asyncio.sleep(delay.total_seconds())

    def give_up(self, error: StreamLostError) -> None:
        """End the present connection, which is not believed any more; another one is made."""
        if self._following is not None and self._given_up is None:
            self._given_up = error
            self._following.cancel()

    async def _settings(self) -> tuple[AccountSettings | None, AccountProfile]:
        profile = await in_database(lambda: get_profile(self._account_id))
        return (profile.settings if self._endpoint is Endpoint.PRIMARY else profile.standby), profile

    async def _follow_until_lost(self, profile: AccountProfile, settings: AccountSettings) -> StreamLostError:
        following = self._following = asyncio.create_task(self._follow(profile, settings))
        try:
            await asyncio.wait([following])
        finally:
            self._following = None
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        if self._given_up is not None:
            return self._given_up
        error = following.exception()
        if isinstance(error, StreamLostError):
            return error
        if isinstance(error, BrokerCallError):
            return StreamLostError(error.code, error.message)
        if error is not None:
            raise error
        return StreamLostError("NETWORK_STREAM_CLOSED", "the stream ended")

    async def _follow(self, profile: AccountProfile, settings: AccountSettings) -> None:
        session: BrokerSession = profile.adapter.open_session(settings)
        connecting = tracing.begin_step("order stream connects", {"stanchion.account": self._account_id})
        try:
            async with aclosing(session.stream_orders()) as stream:
                subscribed = False
                async for event in stream:
                    if not subscribed:
                        subscribed = True
                        connecting.end()
                        self._tell(Connected(self._endpoint, time.monotonic()))
                    self._tell(Heard(self._endpoint, time.monotonic(), event))
        finally:
            connecting.end(sys.exception())
            await session.close()
