"""Order streams that fall silent, lose events or break, before the real listener and the real pair of connections."""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from heapq import heappop, heappush
from typing import Any

import aiohttp

from brokers.adapters.errors import StreamLostError
from brokers.adapters.websocket import Listener
from brokers.core.orders import Side
from brokers.core.reports import OrderReport, ReportedStatus, StreamEvent
from brokers.core.stream_pair import StreamPair, Turn
from brokers.core.streams import MUTE_SECONDS, Endpoint, order_names
from config.simulation.episodes import Episode, Finding, Scenario

SILENCE_SECONDS = 0.75
LIFE_SECONDS = 0.25
LOOK_SECONDS = 0.05
START = datetime(2026, 1, 5, 15, tzinfo=UTC)
_PONG = aiohttp.WSMessage(aiohttp.WSMsgType.PONG, b"", None)
_DATA = aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, "{}", None)


@dataclass(slots=True)
class VirtualSocket:
    """A websocket whose waiting moves a clock: frames come when the episode says so, pongs after each ping."""

    episode: Episode
    stalls_at: float
    slowest_pong: float
    now: float = 0.0
    _frames: list[tuple[float, int, aiohttp.WSMessage]] = field(default_factory=list)
    _count: int = 0
    _last: float = 0.0

    def send_at(self, at: float, frame: aiohttp.WSMessage) -> None:
        """Let a frame arrive, behind all that were sent before it; none arrives once the stream stalls."""
        self._last = max(self._last, at)
        if self._last < self.stalls_at:
            self._count += 1
            heappush(self._frames, (self._last, self._count, frame))

    async def receive(self, timeout: float) -> aiohttp.WSMessage:  # noqa: ASYNC109  as the library calls it
        if self._frames and self._frames[0][0] <= self.now + timeout:
            at, _, frame = heappop(self._frames)
            self.now = max(self.now, at)
            return frame
        self.now += timeout
        raise TimeoutError

    async def ping(self) -> None:
        self.send_at(self.now + self.episode.random.uniform(0.005, self.slowest_pong), _PONG)

    async def pong(self, payload: bytes) -> None:
        """Nobody waits for ours."""


def _finish(step: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that waits for nothing but the virtual socket."""
    try:
        step.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("the listener waited for something real")


def play_silent(episode: Episode) -> tuple[Finding, str]:
    """The connection stands and nothing arrives any more; or pongs are late, data pauses, and we ourselves stall."""
    chance = episode.random
    stalls_at = chance.uniform(2, 20) if episode.is_fault else float("inf")
    allowed = 60.0 if episode.is_blind else 0.03 if episode.is_eager else SILENCE_SECONDS
    socket: Any = VirtualSocket(episode, stalls_at, chance.choice((0.05, 0.2, 0.45)))
    at = 0.0
    while at < 30:
        at += chance.expovariate(chance.choice((0.2, 3.0, 20.0)))
        socket.send_at(at, _DATA)
    socket._last = 0.0  # pongs come between the data, not behind all of it
    listener = Listener(socket, allowed)
    episode.note(
        stalls_at if episode.is_fault else 0, "truth: silent from now on" if episode.is_fault else "truth: healthy"
    )
    busy = 0.0  # how long of the silence nobody here was listening
    while socket.now < 30:
        if chance.random() < 0.01:
            pause = chance.uniform(0.5, 5.0)  # we are busy ourselves, or the machine is
            busy += min(pause, max(0.0, socket.now + pause - stalls_at))
            socket.now += pause
        try:
            _finish(listener.next_frame())
        except StreamLostError as error:
            episode.note(socket.now, f"{error.code}: {error}")
            early = episode.is_fault and socket.now < stalls_at
            return Finding(
                error.code, socket.now - stalls_at - busy, ("it was not silent yet",) if early else ()
            ), SILENT
    return Finding(), SILENT


SILENT = "NETWORK_STREAM_SILENT"


@dataclass(slots=True)
class Told:
    """What arrives here when: replies to us, and events and signs of life on each connection."""

    items: list[tuple[float, int, str, Endpoint | None, int]] = field(default_factory=list)

    def add(self, at: float, what: str, endpoint: Endpoint | None, order: int) -> None:
        self.items.append((at, len(self.items), what, endpoint, order))


def _event(order: int) -> StreamEvent:
    report = OrderReport(
        f"st-{order}", f"b-{order}", ReportedStatus.WORKING, "AAPL", Side.BUY, Decimal(0), Decimal(1), reported_at=START
    )
    return StreamEvent("new", report)


def _story(
    episode: Episode, until: float, lost: tuple[Endpoint, float] | None, endpoints: tuple[Endpoint, ...]
) -> tuple[Told, list[float]]:
    """Tell of orders from 2 s on: each is known by a reply, and by an event on each connection that loses none.

    What a connection carries arrives in the order it was sent.
    """
    chance, told, made, placed = episode.random, Told(), 0, []
    at, slowest = 2.0, chance.choice((0.05, 0.15, 0.33))
    behind = dict.fromkeys(endpoints, 0.0)
    sent: list[tuple[float, Endpoint, str, int]] = []
    while at < until:
        at += chance.expovariate(chance.choice((1.5, 6.0)))
        placed.append(at)
        told.add(at + chance.uniform(0.002, 0.12), "reply", None, made)
        for endpoint in endpoints:
            if lost is None or endpoint is not lost[0] or at < lost[1]:
                sent.append((at, endpoint, "event", made))
        made += 1
    for endpoint in endpoints:
        late = chance.uniform(2, until)
        for step in range(int(until / LIFE_SECONDS)):
            moment = step * LIFE_SECONDS
            if abs(moment - late) < LIFE_SECONDS and episode.truth.value == "healthy":
                continue  # one late heartbeat
            sent.append((moment, endpoint, "life", -1))
    for moment, endpoint, what, order in sorted(sent, key=lambda one: one[0]):
        behind[endpoint] = max(behind[endpoint], moment + chance.uniform(0.002, slowest if what == "event" else 0.03))
        told.add(behind[endpoint], what, endpoint, order)
    return told, placed


def play_mute(episode: Episode) -> tuple[Finding, str]:
    """A connection shows signs of life and tells of no order any more; or all tell of everything, late and twice."""
    chance = episode.random
    endpoints = tuple(Endpoint) if chance.random() < 0.7 else (Endpoint.PRIMARY,)
    victim, begins = chance.choice(endpoints), chance.uniform(4, 12)
    told, placed = _story(episode, 18.0, (victim, begins) if episode.is_fault else None, endpoints)
    first_lost = next((at for at in placed if at >= begins), None)
    limit = 1e6 if episode.is_blind else 0.0 if episode.is_eager else MUTE_SECONDS
    pair = StreamPair(limit)
    for endpoint in endpoints:
        pair.connected(endpoint, 1.0)
    episode.note(begins, f"truth: {victim} loses every order" if episode.is_fault else "truth: healthy")
    looked_at, known_first = 0.0, None
    for at, _, what, where, order in sorted(told.items):
        while looked_at + LOOK_SECONDS < at:
            looked_at += LOOK_SECONDS
            mute = pair.find_mute()
            if mute is not None:
                episode.note(looked_at, f"{mute.endpoint} is mute: it lost {sorted(mute.lost)}")
                delay = looked_at - known_first if known_first is not None else None
                return Finding(f"mute {mute.endpoint}", delay), f"mute {victim}"
        if what == "reply":
            if episode.is_fault and first_lost is not None and placed[order] >= first_lost and known_first is None:
                known_first = at
            pair.known(order_names(f"st-{order}", f"b-{order}"), known_at=at, began_at=placed[order] - 0.001)
        elif where is not None and at >= 1.0:
            pair.heard(where, _event(order) if what == "event" else None, at)
            if episode.is_fault and what == "event" and known_first is None and placed[order] >= begins:
                known_first = at
    return Finding(), f"mute {victim}"


def play_lost(episode: Episode) -> tuple[Finding, str]:
    """The connection that is listened to breaks: the other one takes over at once, and nothing told is lost."""
    chance = episode.random
    told, placed = _story(episode, 60.0, None, tuple(Endpoint))
    breaks, returns = chance.uniform(5, 15), chance.uniform(16, 25)
    pair, recorded, turns = StreamPair(), set[str](), []
    victim = Endpoint.PRIMARY if episode.is_fault else Endpoint.BACKUP
    pair.connected(Endpoint.PRIMARY, 1.0)
    pair.connected(Endpoint.BACKUP, 1.0)
    for at in (breaks, returns):
        told.add(at, "breaks" if at == breaks else "returns", victim, -1)
    episode.note(breaks, f"truth: {victim} breaks, and is back at {returns:.1f} s")
    for at, _, what, endpoint, order in sorted(told.items):
        if what == "reply" or endpoint is None or at < 1.0:
            continue
        if what == "breaks":
            outcome = pair.lost(endpoint, at)
        elif what == "returns":
            outcome = pair.connected(endpoint, at)
        elif not pair.is_up(endpoint):
            continue
        else:
            outcome = pair.heard(endpoint, _event(order) if what == "event" else None, at)
        for result in (outcome, pair.settle(at)):
            if result.turn in (Turn.SWITCHED, Turn.DOWN):
                turns.append((at, result.turn))
                episode.note(at, f"{result.turn.name}, with {len(result.events)} events kept for it")
                if episode.is_blind:
                    continue
            recorded.update(event.order.client_order_id for event in result.events)
    missing = {f"st-{order}" for order, at in enumerate(placed) if at < 59.0} - recorded
    broken = [f"{len(missing)} orders were told of and not recorded"] if missing else []
    if not episode.is_fault:
        return Finding("switched" if turns else "", None, tuple(broken)), ""
    if len(turns) != 2:
        broken.append(f"{len(turns)} turns instead of one there and one back")
    return Finding("switched" if turns else "", turns[0][0] - breaks if turns else None, tuple(broken)), "switched"


STREAM_SCENARIOS = (
    Scenario("stream.silent", "transport", "a connection that brings nothing is noticed", play_silent, 1.0),
    Scenario("stream.mute", "protocol", "a connection that lives and loses events is noticed", play_mute, 1.0),
    Scenario(
        "stream.lost",
        "transport",
        "a broken connection is replaced at once and loses nothing",
        play_lost,
        0.0,
        can_be_eager=False,
    ),
)
