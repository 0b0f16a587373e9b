"""Order streams: one process holds each account's stream, others stand by.

A stream is a fast source of evidence and never the only one: after each (re)connect, once
the subscription stands, the account is synchronized, and the schedule does it again.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone

from brokers.adapters.errors import BrokerCallError, StreamLostError
from brokers.adapters.interface import BrokerSession
from brokers.core.reports import StreamEvent
from brokers.models import Account, StreamSession
from brokers.services.accounts import AccountProfile, get_profile, list_profiles
from brokers.services.life_signs import LifeSigns, tell_circuits
from brokers.services.synchronization import record_evidence, want_sync
from reliability.core.retry import RetryPolicy, backoff_delay
from reliability.services.jobs.execution import DatabaseUnavailable
from reliability.services.pulse import STREAM_SLOT_BASE, Pulse, Slot

_RECONNECT = RetryPolicy(delay_initial=timedelta(milliseconds=100), delay_max=timedelta(seconds=5))
_STANDBY_SECONDS = 0.25
_ACCOUNTS_SECONDS = 1.0
_ALIVE_SECONDS = 1.0
_STABLE_SECONDS = 10.0
_DATABASE_PAUSE_SECONDS = 0.2

logger = logging.getLogger(__name__)
_T = TypeVar("_T")


class StreamSupervisor:
    """Keeps one ``AccountStream`` per account running until it is cancelled, and looks for signs of life."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._life_signs = LifeSigns()

    async def run(self) -> None:
        profiles: list[AccountProfile] = []
        try:
            while True:
                try:
                    profiles = await _in_database(list_profiles)
                except DatabaseUnavailable:
                    logger.warning("the accounts cannot be read; the known ones go on")
                self._life_signs.look(profiles)
                for profile in (one for one in profiles if one.adapter.capabilities.streams_orders):
                    task = self._tasks.get(profile.id)
                    if task is None or task.done():
                        self._tasks[profile.id] = asyncio.create_task(AccountStream(profile.id, self._pulse).run())
                await asyncio.sleep(_ACCOUNTS_SECONDS)
        finally:
            self._life_signs.cancel()
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)


class AccountStream:
    """The order stream of one account: holds its slot, connects, records, reconnects."""

    def __init__(self, account_id: int, pulse: Pulse) -> None:
        self._account_id = account_id
        self._pulse = pulse
        self._slot = Slot(STREAM_SLOT_BASE + account_id, f"stream {account_id}")
        self._events: asyncio.Queue[StreamEvent] = asyncio.Queue()
        self._alive_noted = 0.0
        self._failures = 0

    async def run(self) -> None:
        recorder = asyncio.create_task(self._record_events())
        try:
            while True:
                if await asyncio.to_thread(self._slot.hold):
                    await self._hold_stream()
                else:
                    await asyncio.sleep(_STANDBY_SECONDS)
        except Exception:
            logger.exception("an order stream stumbled", extra={"account": self._account_id})
            await asyncio.sleep(1)
        finally:
            recorder.cancel()
            self._slot.leave()

    async def _hold_stream(self) -> None:
        """Connect once and record until the stream is lost; then wait as long as the backoff says."""
        started = time.monotonic()
        session: BrokerSession | None = None
        try:
            profile: AccountProfile = await _in_database(lambda: get_profile(self._account_id))
            session = profile.adapter.open_session(profile.settings)
            await self._follow(session, profile.broker)
            reason = "NETWORK_STREAM_CLOSED: the stream ended"
        except (StreamLostError, BrokerCallError) as error:
            reason = f"{error.code}: {error.message}"
        except DatabaseUnavailable:
            reason = "SYSTEM_DATABASE_UNAVAILABLE: waiting for the database"
        finally:
            if session is not None:
                await session.close()
        self._failures = 0 if time.monotonic() - started > _STABLE_SECONDS else self._failures + 1
        logger.warning("order stream lost", extra={"account": self._account_id, "reason": reason})
        await self._note(lambda: _mark_down(self._account_id, reason))
        if self._failures > 1:
            delay = backoff_delay(_RECONNECT, self._failures - 1, random.random())  # noqa: S311  # jitter
            await asyncio.sleep(delay.total_seconds())

    async def _follow(self, session: BrokerSession, broker: str) -> None:
        subscribed = False
        async for event in session.stream_orders():
            if event is not None:
                self._events.put_nowait(event)
            if not subscribed:
                subscribed = True
                await _in_database(lambda: _mark_up(self._account_id, self._pulse.number))
                tell_circuits(broker)
                logger.info("order stream subscribed", extra={"account": self._account_id})
            elif time.monotonic() - self._alive_noted > _ALIVE_SECONDS:
                self._alive_noted = time.monotonic()
                if not await asyncio.to_thread(self._slot.hold):
                    raise StreamLostError("NETWORK_STREAM_CLOSED", "another process holds this stream now")
                await self._note(lambda: _mark_alive(self._account_id))

    async def _record_events(self) -> None:
        """Write events as they come, all that are waiting at once; the database being away delays them."""
        while True:
            events = [await self._events.get()]
            while not self._events.empty():
                events.append(self._events.get_nowait())
            while events:
                try:
                    await _in_database(lambda batch=tuple(events): _record(self._account_id, batch))  # type: ignore[misc]
                    events = []
                except (*DatabaseUnavailable, IntegrityError) as error:
                    logger.warning("stream events wait", extra={"account": self._account_id, "error": str(error)})
                    await asyncio.sleep(_DATABASE_PAUSE_SECONDS)
                except Exception:
                    logger.exception("stream events not recorded", extra={"account": self._account_id})
                    events = []
                    await self._note(lambda: want_sync({self._account_id}))

    async def _note(self, write: Callable[[], object]) -> None:
        """Write what only people read; without a database it is left out."""
        try:
            await _in_database(write)
        except DatabaseError as error:
            logger.warning("stream state not noted", extra={"account": self._account_id, "error": str(error)})


async def _in_database(work: Callable[[], _T]) -> _T:
    """Run ``work`` in a thread; a connection that broke is closed, so that the next try opens another."""

    def run() -> _T:
        try:
            return work()
        except DatabaseUnavailable:
            connection.close()
            raise

    return await asyncio.to_thread(run)


def _record(account_id: int, events: tuple[StreamEvent, ...]) -> None:
    with transaction.atomic():
        fills = [event.fill for event in events if event.fill is not None]
        record_evidence(account_id, [event.order for event in events], fills, "stream")
        StreamSession.objects.filter(account_id=account_id).update(last_event_at=timezone.now())


def _mark_up(account_id: int, pulse: int) -> None:
    now = timezone.now()
    with transaction.atomic():
        StreamSession.objects.get_or_create(account=Account.objects.get(pk=account_id))
        StreamSession.objects.filter(account_id=account_id).update(
            state="up",
            pulse=pulse,
            generation=F("generation") + 1,
            connected_at=now,
            last_alive_at=now,
            last_error="",
            reconnects=F("reconnects") + 1,
        )
        want_sync({account_id})


def _mark_down(account_id: int, reason: str) -> None:
    StreamSession.objects.filter(account_id=account_id).update(state="down", last_error=reason[:500])


def _mark_alive(account_id: int) -> None:
    StreamSession.objects.filter(account_id=account_id).update(state="up", last_alive_at=timezone.now())
