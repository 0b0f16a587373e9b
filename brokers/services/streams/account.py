"""The order stream of one account: holds its place, listens at one endpoint, stands by at the other, records.

After each (re)connect the subscription stands first, then the account is synchronized, then the
events that came meanwhile are recorded, and from then on each as it comes.
"""

import asyncio
import logging
import time
from contextlib import suppress
from datetime import timedelta
from functools import partial

from django.db import IntegrityError

from brokers.adapters.errors import StreamLostError
from brokers.core.call_endpoint import CallEndpoint
from brokers.core.reports import StreamEvent
from brokers.core.stream_pair import Outcome, StreamPair, Turn
from brokers.core.streams import Endpoint, StandbyState, StreamChangeKind, StreamState
from brokers.services.accounts import get_profile
from brokers.services.life_signs import tell_circuits
from brokers.services.streams import records
from brokers.services.streams.activity import Activity
from brokers.services.streams.database import in_database, note
from brokers.services.streams.generations import holder_of, is_caught_up
from brokers.services.streams.link import SILENT_CODE, Connected, Heard, Link, Lost, News
from brokers.services.streams.reach import ask_addresses
from brokers.services.synchronization import want_sync
from reliability.selectors.processes import is_silent_since
from reliability.services.jobs.execution import DatabaseUnavailable
from reliability.services.pulse import STREAM_SLOT_BASE, Pulse, Slot

SNAPSHOT_PATIENCE_SECONDS = 2.0
_STANDBY_SECONDS = 0.25
_STOPPED_AFTER = timedelta(seconds=3)
_ALIVE_SECONDS = 1.0
_LOOK_SECONDS = 0.05
_PROBE_SECONDS = 1.0
_PROBE_LEAST_SECONDS = 0.25
_TROUBLED_SYNC_SECONDS = 2.0
_TROUBLED_FOR_SECONDS = 20.0
_DATABASE_PAUSE_SECONDS = 0.2

logger = logging.getLogger(__name__)


class SlotLostError(Exception):
    """Another process holds the place of this stream now, or nobody can tell."""


class Look:
    """Time to see whether a connection is mute, and whether to go back to the first one."""


class AccountStream:
    """Keeps the stream of one account while this process holds its place; others stand by."""

    def __init__(self, account_id: int, pulse: Pulse) -> None:
        self.account_id = account_id
        self._pulse = pulse
        self._slot = Slot(STREAM_SLOT_BASE + account_id, f"stream {account_id}")
        self._events: asyncio.Queue[StreamEvent] = asyncio.Queue()
        self._may_record = asyncio.Event()
        self._may_record.set()
        self._begin()

    @property
    def is_held(self) -> bool:
        """Whether this process holds the stream's place."""
        return self._is_held

    def doubt(self) -> None:
        """Ask whether the broker is there: it leaves calls unanswered."""
        self._doubt.set()

    def learn(self, activity: Activity) -> None:
        """Take in what the broker is known to have done: the connections must tell of it as well."""
        self._pair.known(activity.names, known_at=activity.known_at, began_at=activity.began_at)

    async def run(self) -> None:
        recorder = asyncio.create_task(self._record_events())
        try:
            while True:
                if not await asyncio.to_thread(self._slot.hold):
                    await note(self.account_id, self._take_from_stopped)
                    await asyncio.sleep(_STANDBY_SECONDS)
                    continue
                with suppress(SlotLostError, *DatabaseUnavailable):
                    await self._hold()
                await asyncio.sleep(_DATABASE_PAUSE_SECONDS)
        except Exception:
            logger.exception("an order stream stumbled", extra={"account": self.account_id})
            await asyncio.sleep(1)
        finally:
            recorder.cancel()
            self._slot.leave()

    def _take_from_stopped(self) -> None:
        """Free the place of a process that lives and does nothing, as one does whose machine is paused."""
        if is_silent_since(holder_of(self.account_id), _STOPPED_AFTER) and self._slot.evict(_STOPPED_AFTER):
            logger.warning("the stream of a stopped process is taken over", extra={"account": self.account_id})

    # -- while the place is held ----------------------------------------------------------

    def _begin(self) -> None:
        self._news: asyncio.Queue[News | Look] = asyncio.Queue()
        self._pair = StreamPair()
        self._links = {one: Link(self.account_id, one, self._news.put_nowait) for one in Endpoint}
        self._is_held = False
        self._doubt = asyncio.Event()
        self._doubt.set()
        self._calls = CallEndpoint()
        self._troubled_until = 0.0
        self._snapshot: asyncio.Task[None] | None = None

    async def _hold(self) -> None:
        """Follow both endpoints until the place or the database is lost, which is raised."""
        self._begin()
        mute_seconds = (await in_database(lambda: get_profile(self.account_id))).mute_after_seconds
        self._pair = StreamPair(mute_seconds)
        work = [*(link.run() for link in self._links.values()), self._take_turns(), self._look(), self._keep()]
        tasks = [asyncio.create_task(one) for one in (*work, self._probe(), self._ask_again())]
        self._is_held = True
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._is_held = False
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            error = task.exception()
            if error is not None:
                raise error

    async def _take_turns(self) -> None:
        while True:
            news = await self._news.get()
            if isinstance(news, Connected):
                await self._settle(self._pair.connected(news.endpoint, news.at), news.endpoint, "")
            elif isinstance(news, Heard):
                await self._settle(self._pair.heard(news.endpoint, news.event, news.at), news.endpoint, "")
            elif isinstance(news, Lost):
                await self._lose(news)
            else:
                await self._judge()

    async def _lose(self, news: Lost) -> None:
        reason, account = str(news.error), self.account_id
        self._doubt.set()
        outcome = self._pair.lost(news.endpoint, news.at)
        if news.mute or news.error.code == SILENT_CODE:
            self._troubled_until = time.monotonic() + _TROUBLED_FOR_SECONDS
            kind = StreamChangeKind.MUTE if news.mute else StreamChangeKind.SILENT
            await note(account, partial(records.mark_silent, account, news.endpoint, kind, reason))
        state = StreamState.MUTE if news.mute else StreamState.DOWN
        await self._settle(outcome, news.endpoint, reason, state)

    async def _judge(self) -> None:
        """Give up a connection that lost something; go back to the first one when it has been up for long."""
        mute = self._pair.find_mute()
        if mute is not None:
            text = f"it answers pings, and did not tell of {', '.join(sorted(mute.lost))}"
            self._links[mute.endpoint].give_up(StreamLostError(SILENT_CODE, text))
        back = self._pair.settle(time.monotonic())
        await self._settle(back, Endpoint.PRIMARY, "the primary endpoint has been up for long enough")

    async def _settle(
        self, outcome: Outcome, endpoint: Endpoint, reason: str, state: StreamState = StreamState.DOWN
    ) -> None:
        """Write down the turn that the pair took, and hand on what is to be recorded."""
        account = self.account_id
        if outcome.turn in (Turn.UP, Turn.SWITCHED):
            await self._begin_generation(outcome.turn, reason)
        elif outcome.turn is Turn.DOWN:
            await note(account, partial(records.mark_down, account, endpoint, state, reason))
        elif outcome.turn in (Turn.STANDBY_UP, Turn.STANDBY_DOWN):
            standby = StandbyState.UP if outcome.turn is Turn.STANDBY_UP else StandbyState.DOWN
            await note(account, partial(records.mark_standby, account, endpoint, standby, reason))
        for event in outcome.events:
            self._events.put_nowait(event)

    async def _begin_generation(self, turn: Turn, reason: str) -> None:
        endpoint = self._pair.active
        assert endpoint is not None
        switched = reason if turn is Turn.SWITCHED else None
        if turn is Turn.UP:
            self._may_record.clear()
        generation = await in_database(
            lambda: records.mark_up(self.account_id, self._pulse.number, endpoint, switched=switched)
        )
        if turn is Turn.UP:
            self._snapshot = asyncio.create_task(self._wait_for_snapshot(generation))
        profile = await in_database(lambda: get_profile(self.account_id))
        tell_circuits(profile.broker)
        facts = {"account": self.account_id, "endpoint": endpoint.value, "generation": generation}
        logger.info("order stream subscribed", extra=facts)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._news.put_nowait(Look())

    async def _keep(self) -> None:
        """Hold the place, and write signs of life."""
        while True:
            await asyncio.sleep(_ALIVE_SECONDS)
            if not await asyncio.to_thread(self._slot.hold):
                raise SlotLostError
            if self._pair.active is not None:
                standby = await in_database(self._standby)
                await note(self.account_id, partial(records.mark_alive, self.account_id, standby))

    def _standby(self) -> StandbyState:
        if get_profile(self.account_id).standby is None:
            return StandbyState.NONE
        both = all(self._pair.is_up(endpoint) for endpoint in Endpoint)
        return StandbyState.UP if both else StandbyState.DOWN

    async def _probe(self) -> None:
        """While nothing is heard, or calls stay unanswered, ask the broker whether it is there at all."""
        while True:
            await self._doubt.wait()
            profile = await in_database(lambda: get_profile(self.account_id))
            reach = await ask_addresses(profile)
            calls_to = self._calls.decide(primary=not reach.primary, backup=not reach.backup, now=time.monotonic())
            reason = reach.failure or reach.primary
            mark = partial(records.mark_reach, answered=not reach.failure, reason=reason, calls_to=calls_to)
            await note(self.account_id, partial(mark, self.account_id))
            if not reach.primary and calls_to is Endpoint.PRIMARY and self._pair.active is not None:
                self._doubt.clear()
            await asyncio.sleep(_PROBE_SECONDS if self._doubt.is_set() else _PROBE_LEAST_SECONDS)

    async def _ask_again(self) -> None:
        """While the stream is down, or was silent a moment ago, poll more often than the schedule does."""
        while True:
            await asyncio.sleep(_TROUBLED_SYNC_SECONDS)
            if self._pair.active is None or time.monotonic() < self._troubled_until:
                await note(self.account_id, lambda: want_sync({self.account_id}))

    # -- recording ------------------------------------------------------------------------

    async def _wait_for_snapshot(self, generation: int) -> None:
        """Let events be recorded once the snapshot of a generation was, or does not come."""
        give_up_at = time.monotonic() + SNAPSHOT_PATIENCE_SECONDS
        while time.monotonic() < give_up_at:
            with suppress(*DatabaseUnavailable):
                if await in_database(lambda: is_caught_up(self.account_id, generation)):
                    break
            await asyncio.sleep(_LOOK_SECONDS)
        self._may_record.set()

    async def _record_events(self) -> None:
        """Write events as they come, all that are waiting at once; the database being away delays them."""
        while True:
            events = [await self._events.get()]
            await self._may_record.wait()
            while not self._events.empty():
                events.append(self._events.get_nowait())
            while events:
                try:
                    await in_database(lambda batch=tuple(events): records.record_events(self.account_id, batch))  # type: ignore[misc]
                    events = []
                except (*DatabaseUnavailable, IntegrityError) as error:
                    logger.warning("stream events wait", extra={"account": self.account_id, "error": str(error)})
                    await asyncio.sleep(_DATABASE_PAUSE_SECONDS)
                except Exception:
                    logger.exception("stream events not recorded", extra={"account": self.account_id})
                    events = []
                    await note(self.account_id, lambda: want_sync({self.account_id}))
