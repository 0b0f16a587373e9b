"""The trade_updates websocket: who listens, and what of the broker's events they get to hear."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from brokers.simulator.faults import FILL_KINDS, FaultBoard, FaultKind, Operation
from brokers.simulator.instruments import Instrument
from brokers.simulator.ledger_writer import LedgerWriter
from brokers.simulator.venue import Event
from brokers.simulator.wire import event_json

QUEUE_LIMIT = 50_000
DEFAULT_REORDER_MS = 200


@dataclass(eq=False)
class Subscriber:
    """One websocket connection and what waits to be sent on it."""

    socket: web.WebSocketResponse
    transport: asyncio.Transport | None
    queue: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(QUEUE_LIMIT))
    is_listening: bool = False

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class StreamHub:
    """Hands each event to every listening connection, once it is on disk and as the stream faults allow."""

    def __init__(
        self,
        ledger: LedgerWriter,
        faults: FaultBoard,
        instruments: dict[str, Instrument],
        draw: Callable[[], float],
    ) -> None:
        self.subscribers: set[Subscriber] = set()
        self._ledger = ledger
        self._faults = faults
        self._instruments = instruments
        self._draw = draw
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._withheld: list[bytes] = []

    def publish(self, event: Event) -> None:
        """Take an event as it is now. Without listeners it is gone, as at Alpaca: the stream has no replay."""
        if not any(subscriber.is_listening for subscriber in self.subscribers):
            return
        if self._faults.strike(frozenset({FaultKind.SILENT_STREAM}), Operation.STREAM):
            self._ledger.append({"kind": "stream_lost", "event": event.name, "order_id": event.order.id})
            return
        frame = json.dumps(event_json(event, self._instruments[event.order.symbol])).encode()
        if event.fill is None:
            self._outbox.put_nowait(frame)
        else:
            self._publish_fill(frame)

    async def run(self) -> None:
        """Send what is published, each event only after its record is on disk."""
        while True:
            frames = [await self._outbox.get()]
            while not self._outbox.empty():
                frames.append(self._outbox.get_nowait())
            await self._ledger.durable()
            for subscriber in list(self.subscribers):
                if subscriber.is_listening:
                    self._enqueue(subscriber, frames)

    def disconnect_all(self) -> int:
        """Cut every connection without a closing handshake and return how many there were."""
        count = len(self.subscribers)
        for subscriber in list(self.subscribers):
            subscriber.abort()
        return count

    def _publish_fill(self, frame: bytes) -> None:
        fault = self._faults.strike(FILL_KINDS, Operation.STREAM)
        if fault is None:
            self._outbox.put_nowait(frame)
            return
        parameters, loop = fault.parameters, asyncio.get_running_loop()
        if fault.kind is FaultKind.DUPLICATE_FILLS:
            for _ in range(1 + parameters.get("times", 1)):
                self._outbox.put_nowait(frame)
        elif fault.kind is FaultKind.DELAY_FILLS:
            delay_ms = parameters.get("ms", 500) + parameters.get("jitter_ms", 0) * self._draw()
            loop.call_later(delay_ms / 1000, self._outbox.put_nowait, frame)
        else:
            self._withheld.append(frame)
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


async def serve_stream(
    request: web.Request, hub: StreamHub, is_known_key: Callable[[str, str], bool]
) -> web.StreamResponse:
    """Speak the trade_updates protocol on one connection until it ends."""
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    subscriber = Subscriber(socket, request.transport)
    hub.subscribers.add(subscriber)
    sender = asyncio.create_task(_send_queued(subscriber))
    is_authorized = False
    try:
        async for message in socket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                break
            command = _parse(message.data)
            if command.get("action") in ("authenticate", "auth"):
                is_authorized = _authorize(subscriber, command, is_known_key)
            elif command.get("action") == "listen":
                _listen(subscriber, command, is_authorized)
            else:
                _reply(subscriber, "error", {"error": "unknown action"})
    finally:
        hub.subscribers.discard(subscriber)
        sender.cancel()
    return socket


async def _send_queued(subscriber: Subscriber) -> None:
    while True:
        frame = await subscriber.queue.get()
        try:
            await subscriber.socket.send_bytes(frame)
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
