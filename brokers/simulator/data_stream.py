"""The market data websocket: ``/v2/{feed}`` as Alpaca speaks it, in JSON or MessagePack.

Bars come a moment after their minute is over and are those of ``/v2/stocks/bars``; trades and quotes come once a
second. ``POST /sim/bars`` sends a bar of anybody's making, also as a revision.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import WSMsgType, web

from brokers.simulator import msgpack
from brokers.simulator.bars import Timeframe, bar_at
from brokers.simulator.faults import Endpoint, FaultBoard, FaultKind, Operation
from brokers.simulator.instruments import Instrument
from brokers.simulator.stream import StreamHub, Subscriber, connected

CHANNELS = {"bars": "b", "updatedBars": "u", "trades": "t", "quotes": "q"}
_SILENT = frozenset({FaultKind.SILENT_STREAM})
_MINUTE = Timeframe(timedelta(minutes=1))
_STEP_SECONDS = 0.1

Now = Callable[[Instrument], Mapping[str, Any]]
"""The last trade or quote of a symbol, as the REST API writes it."""


@dataclass(eq=False)
class Listening:
    """One connection: what it subscribed to, and in which words it is told."""

    subscriber: Subscriber
    binary: bool
    authenticated: bool = False
    wanted: dict[str, set[str]] = field(default_factory=lambda: {channel: set() for channel in CHANNELS})

    def wants(self, channel: str, symbol: str) -> bool:
        return symbol in self.wanted[channel] or "*" in self.wanted[channel]

    def tell(self, messages: Sequence[Mapping[str, Any]]) -> None:
        if self.binary:
            frame = msgpack.pack([_with_instants(message) for message in messages])
        else:
            frame = json.dumps(list(messages)).encode()
        self.subscriber.queue.put_nowait(frame)


class DataHub:
    """Everybody who listens to market data."""

    def __init__(self, seed: int, faults: FaultBoard, instruments: Mapping[str, Instrument]) -> None:
        self.listening: set[Listening] = set()
        self._seed = seed
        self._faults = faults
        self._instruments = instruments
        self._told_until = _MINUTE.floor(datetime.now(UTC))
        self._second = int(time.time())

    async def run(self, trade: Now, quote: Now) -> None:
        """Tell bars as their minutes end, and trades and quotes once a second."""
        while True:
            await asyncio.sleep(_STEP_SECONDS)
            minute = _MINUTE.floor(datetime.now(UTC))
            if minute > self._told_until:
                start, self._told_until = minute - _MINUTE.length, minute
                for instrument in self._instruments.values():
                    self.send("bars", instrument.symbol, bar_at(instrument, self._seed, _MINUTE, start))
            if int(time.time()) != self._second:
                self._second = int(time.time())
                for instrument in self._instruments.values():
                    self.send("trades", instrument.symbol, trade(instrument))
                    self.send("quotes", instrument.symbol, quote(instrument))

    def send(self, channel: str, symbol: str, fields: Mapping[str, Any]) -> int:
        """Tell a message to those who want it, unless a fault silences their endpoint; return how many that are."""
        hearing = [one for one in self.listening if one.wants(channel, symbol)]
        silenced = {
            endpoint
            for endpoint in {one.subscriber.endpoint for one in hearing}
            if self._faults.strike(_SILENT, Operation.STREAM, endpoint)
        }
        told = [one for one in hearing if one.subscriber.endpoint not in silenced]
        for one in told:
            one.tell([{"T": CHANNELS[channel], "S": symbol, **fields}])
        return len(told)


async def serve_data(
    request: web.Request,
    hub: DataHub,
    streams: StreamHub,
    is_known_key: Callable[[str, str], bool],
    endpoint: Endpoint,
) -> web.StreamResponse:
    """Speak the market data protocol on one connection until it ends."""
    binary = "msgpack" in request.headers.get("Content-Type", "")
    async with connected(request, streams, lambda event: None, endpoint, text=not binary) as subscriber:
        listening = Listening(subscriber, binary)
        hub.listening.add(listening)
        try:
            listening.tell([{"T": "success", "msg": "connected"}])
            async for message in subscriber.socket:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    break
                listening.tell([_answer(listening, _command(message.data), is_known_key)])
        finally:
            hub.listening.discard(listening)
    return subscriber.socket


def _command(data: str | bytes) -> dict[str, Any]:
    try:
        command = json.loads(data) if isinstance(data, str) else msgpack.unpack(data)
    except ValueError:
        return {}
    return command if isinstance(command, dict) else {}


def _answer(
    listening: Listening, command: Mapping[str, Any], is_known_key: Callable[[str, str], bool]
) -> dict[str, Any]:
    action = command.get("action")
    if action == "auth":
        if listening.authenticated:
            return _error(403, "already authenticated")
        listening.authenticated = is_known_key(str(command.get("key", "")), str(command.get("secret", "")))
        return {"T": "success", "msg": "authenticated"} if listening.authenticated else _error(402, "auth failed")
    if action not in ("subscribe", "unsubscribe"):
        return _error(400, "invalid syntax")
    if not listening.authenticated:
        return _error(401, "not authenticated")
    for channel, wanted in listening.wanted.items():
        names = command.get(channel) or ()
        symbols = {str(name) for name in names} if isinstance(names, list) else set()
        wanted.update(symbols) if action == "subscribe" else wanted.difference_update(symbols)
    return {"T": "subscription", **{channel: sorted(wanted) for channel, wanted in listening.wanted.items()}}


def _error(code: int, message: str) -> dict[str, Any]:
    return {"T": "error", "code": code, "msg": message}


def _with_instants(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message with its time as MessagePack has it: an instant, where it is one."""
    text = message.get("t")
    if not isinstance(text, str):
        return dict(message)
    try:
        return {**message, "t": datetime.fromisoformat(text)}
    except ValueError:
        return dict(message)
