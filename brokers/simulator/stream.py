"""The trade_updates websocket: who listens, and what of the broker's events they get to hear."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from brokers.simulator.faults import FILL_KINDS, Endpoint, FaultBoard, FaultKind, Operation
from brokers.simulator.ledger_writer import LedgerWriter
from brokers.simulator.venue import Event
from brokers.simulator.wire import Json

Render = Callable[[Event], Json | None]
"""An event as one API tells it; None where that API has no word for it."""

Audience = tuple[Endpoint, Render]
"""Who hears an event alike: those connected to one endpoint through one API."""

Frames = dict[Audience, bytes]
"""One event in the words of each API that somebody listens to, where it is told."""

QUEUE_LIMIT = 50_000
DEFAULT_REORDER_MS = 200
STALL_LOOK_SECONDS = 0.02
SILENT = frozenset({FaultKind.SILENT_STREAM})


@dataclass(eq=False)
class Subscriber:
    """One websocket connection and what waits to be sent on it."""

    socket: web.WebSocketResponse
    transport: asyncio.Transport | None
    render: Render
    endpoint: Endpoint = Endpoint.PRIMARY
    queue: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(QUEUE_LIMIT))
    is_listening: bool = False
    moving: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def audience(self) -> Audience:
        return self.endpoint, self.render

    def stall(self) -> None:
        """Read and send nothing any more: pings stay unanswered, the connection stays open."""
        if self.moving.is_set() and self.transport is not None:
            self.transport.pause_reading()
        self.moving.clear()

    def go_on(self) -> None:
        if not self.moving.is_set() and self.transport is not None:
            self.transport.resume_reading()
        self.moving.set()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class StreamHub:
    """Hands each event to every listening connection, once it is on disk and as the stream faults allow."""

    def __init__(self, ledger: LedgerWriter, faults: FaultBoard, draw: Callable[[], float]) -> None:
        self.subscribers: set[Subscriber] = set()
        self._ledger = ledger
        self._faults = faults
        self._draw = draw
        self._outbox: asyncio.Queue[Frames] = asyncio.Queue()
        self._withheld: list[Frames] = []

    def publish(self, event: Event) -> None:
        """Take an event as it is now. Without listeners it is gone, as at Alpaca: the stream has no replay."""
        listening = {subscriber.audience for subscriber in self.subscribers if subscriber.is_listening}
        audience = {one for one in listening if one[0] not in self._silenced({place for place, _ in listening})}
        if audience != listening:
            self._ledger.append({"kind": "stream_lost", "event": event.name, "order_id": event.order.id})
        told = {render: render(event) for _, render in audience}
        frames = {one: json.dumps(told[one[1]]).encode() for one in audience if told[one[1]] is not None}
        if not frames:
            return
        if event.fill is None:
            self._outbox.put_nowait(frames)
        else:
            self._publish_fill(frames)

    async def run(self) -> None:
        """Send what is published, each event only after its record is on disk."""
        while True:
            events = [await self._outbox.get()]
            while not self._outbox.empty():
                events.append(self._outbox.get_nowait())
            await self._ledger.durable()
            for subscriber in list(self.subscribers):
                if subscriber.is_listening:
                    self._enqueue(
                        subscriber, [frames[subscriber.audience] for frames in events if subscriber.audience in frames]
                    )

    def disconnect_all(self, endpoint: Endpoint | None = None) -> int:
        """Cut every connection, or those of one endpoint, without a closing handshake; return how many there were."""
        cut = [one for one in self.subscribers if endpoint is None or one.endpoint is endpoint]
        for subscriber in cut:
            subscriber.abort()
        return len(cut)

    def apply_stalls(self) -> None:
        """Stall the connections of the endpoints that a fault stalls, and let the others go on."""
        for subscriber in self.subscribers:
            if self._faults.is_active_at(FaultKind.STALL_STREAMS, subscriber.endpoint):
                subscriber.stall()
            else:
                subscriber.go_on()

    async def wait_while_stalled(self, request: web.Request, endpoint: Endpoint) -> None:
        """Leave a new connection without an answer while its endpoint is stalled."""
        while self._faults.is_active_at(FaultKind.STALL_STREAMS, endpoint):
            if request.transport is None or request.transport.is_closing():
                return
            await asyncio.sleep(STALL_LOOK_SECONDS)

    def _silenced(self, endpoints: set[Endpoint]) -> set[Endpoint]:
        return {one for one in sorted(endpoints) if self._faults.strike(SILENT, Operation.STREAM, one)}

    def _publish_fill(self, frames: Frames) -> None:
        fault = self._faults.strike(FILL_KINDS, Operation.STREAM)
        if fault is None:
            self._outbox.put_nowait(frames)
            return
        parameters, loop = fault.parameters, asyncio.get_running_loop()
        if fault.kind is FaultKind.DUPLICATE_FILLS:
            for _ in range(1 + parameters.get("times", 1)):
                self._outbox.put_nowait(frames)
        elif fault.kind is FaultKind.DELAY_FILLS:
            delay_ms = parameters.get("ms", 500) + parameters.get("jitter_ms", 0) * self._draw()
            loop.call_later(delay_ms / 1000, self._outbox.put_nowait, frames)
        else:
            self._withheld.append(frames)
            if len(self._withheld) >= parameters.get("window", 2):
                self._release_reversed()
            else:
                loop.call_later(parameters.get("ms", DEFAULT_REORDER_MS) / 1000, self._release_reversed)

    def _release_reversed(self) -> None:
        while self._withheld:
            self._outbox.put_nowait(self._withheld.pop())

    def _enqueue(self, subscriber: Subscriber, frames: list[bytes]) -> None:
        if subscriber.queue.qsize() + len(frames) > QUEUE_LIMIT:
            subscriber.abort()
            return
        for frame in frames:
            subscriber.queue.put_nowait(frame)


@asynccontextmanager
async def connected(
    request: web.Request, hub: StreamHub, render: Render, endpoint: Endpoint, *, text: bool
) -> AsyncIterator[Subscriber]:
    """Accept a websocket and send it what is queued for it, as text or binary frames, until the block ends."""
    await hub.wait_while_stalled(request, endpoint)
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    subscriber = Subscriber(socket, request.transport, render, endpoint)
    subscriber.moving.set()
    hub.subscribers.add(subscriber)
    sender = asyncio.create_task(_send_queued(subscriber, text=text))
    try:
        yield subscriber
    finally:
        hub.subscribers.discard(subscriber)
        sender.cancel()


async def commands(subscriber: Subscriber) -> AsyncIterator[dict[str, Any]]:
    """Yield what the client sends, an empty object for what is not one, until it leaves."""
    async for message in subscriber.socket:
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return
        yield _parse(message.data)


async def serve_stream(
    request: web.Request,
    hub: StreamHub,
    render: Render,
    is_known_key: Callable[[str, str], bool],
    endpoint: Endpoint,
) -> web.StreamResponse:
    """Speak the trade_updates protocol on one connection until it ends."""
    async with connected(request, hub, render, endpoint, text=False) as subscriber:
        is_authorized = False
        async for command in commands(subscriber):
            if command.get("action") in ("authenticate", "auth"):
                is_authorized = _authorize(subscriber, command, is_known_key)
            elif command.get("action") == "listen":
                _listen(subscriber, command, is_authorized)
            else:
                _reply(subscriber, "error", {"error": "unknown action"})
    return subscriber.socket


async def _send_queued(subscriber: Subscriber, *, text: bool) -> None:
    while True:
        frame = await subscriber.queue.get()
        await subscriber.moving.wait()
        try:
            await (subscriber.socket.send_str(frame.decode()) if text else subscriber.socket.send_bytes(frame))
        except ConnectionError:
            return


def _parse(data: str | bytes) -> dict[str, Any]:
    try:
        command = json.loads(data)
    except ValueError:
        return {}
    return command if isinstance(command, dict) else {}


def _authorize(subscriber: Subscriber, command: dict[str, Any], is_known_key: Callable[[str, str], bool]) -> bool:
    data = command.get("data")
    fields = data if isinstance(data, dict) else command
    key = fields.get("key_id") or fields.get("key") or ""
    secret = fields.get("secret_key") or fields.get("secret") or ""
    is_authorized = is_known_key(str(key), str(secret))
    status = "authorized" if is_authorized else "unauthorized"
    _reply(subscriber, "authorization", {"status": status, "action": "authenticate"})
    return is_authorized


def _listen(subscriber: Subscriber, command: dict[str, Any], is_authorized: bool) -> None:
    data = command.get("data")
    asked = data.get("streams", []) if isinstance(data, dict) else []
    if not is_authorized:
        _reply(subscriber, "authorization", {"status": "unauthorized", "action": "listen"})
        return
    streams = [name for name in asked if name == "trade_updates"] if isinstance(asked, list) else []
    subscriber.is_listening = bool(streams)
    _reply(subscriber, "listening", {"streams": streams})


def _reply(subscriber: Subscriber, stream: str, data: dict[str, Any]) -> None:
    subscriber.queue.put_nowait(json.dumps({"stream": stream, "data": data}).encode())
