"""One proxied address: connections to it are carried on to the real one, through the faults that are switched on."""

import asyncio
import contextlib
import random
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from config.chaos.proxy.toxics import Direction, Toxic, ToxicKind

_CHUNK_BYTES = 65536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(eq=False)
class Connection:
    """One client and the server behind: two streams, and which faults this connection has drawn."""

    link: "Link"
    client: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    server: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    drawn: dict[int, bool] = field(default_factory=dict)
    carried: dict[tuple[int, Direction], int] = field(default_factory=dict)

    async def run(self) -> None:
        up = asyncio.create_task(self._carry(self.client[0], self.server[1], Direction.UPSTREAM))
        down = asyncio.create_task(self._carry(self.server[0], self.client[1], Direction.DOWNSTREAM))
        try:
            await asyncio.gather(up, down)
        except (ConnectionError, TimeoutError):
            self.abort()
        finally:
            for task in (up, down):
                task.cancel()
            for _, writer in (self.client, self.server):
                writer.close()

    def hit_by(self, toxic: Toxic, direction: Direction) -> bool:
        """Tell whether a fault is of this connection; it is drawn once, when it is first asked for."""
        if not toxic.concerns(direction):
            return False
        if toxic.id not in self.drawn:
            self.drawn[toxic.id] = self.link.chance.random() < toxic.probability
        return self.drawn[toxic.id]

    def abort(self) -> None:
        """End both sides at once, with a reset; what was not delivered is lost."""
        for _, writer in (self.client, self.server):
            carrier = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                if carrier is not None:
                    carrier.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, direction: Direction) -> None:
        while chunk := await source.read(_CHUNK_BYTES):
            for piece, pause in self._cut_up(chunk, direction):
                await self._wait(len(piece), direction)
                if pause:
                    await asyncio.sleep(pause)
                allowed = self._allowed(len(piece), direction)
                target.write(piece[:allowed])
                self.link.bytes[direction] += allowed
                await target.drain()
                if allowed < len(piece):
                    raise ConnectionAbortedError("cut on purpose")
        for toxic in self._active(direction, ToxicKind.SLOW_CLOSE):
            await asyncio.sleep(toxic.parameters["ms"] / 1000)
        if target.can_write_eof():
            with contextlib.suppress(OSError):
                target.write_eof()

    def _active(self, direction: Direction, kind: ToxicKind) -> list[Toxic]:
        return [one for one in self.link.toxics.values() if one.kind is kind and self.hit_by(one, direction)]

    def _cut_up(self, chunk: bytes, direction: Direction) -> Iterable[tuple[bytes, float]]:
        """Return the pieces that a chunk goes on in, each with the pause before it."""
        for toxic in self._active(direction, ToxicKind.SLICE):
            size = max(1, int(toxic.parameters["bytes"]))
            pause = toxic.parameters["ms"] / 1000
            return [(chunk[start : start + size], pause) for start in range(0, len(chunk), size)]
        return [(chunk, 0.0)]

    async def _wait(self, size: int, direction: Direction) -> None:
        for toxic in self._active(direction, ToxicKind.LATENCY):
            await self.link.pause(toxic.delay_seconds(self.link.chance.random), toxic)
        for toxic in self._active(direction, ToxicKind.BANDWIDTH):
            await self.link.pause(size / max(1.0, toxic.parameters["bytes_per_second"]), toxic)
        for toxic in self._active(direction, ToxicKind.SILENCE):
            await self.link.until_off(toxic)

    def _allowed(self, size: int, direction: Direction) -> int:
        """Return how many bytes may still pass before a cut."""
        allowed = size
        for toxic in self._active(direction, ToxicKind.CUT):
            key = (toxic.id, direction)
            left = max(0, int(toxic.parameters["after_bytes"]) - self.carried.get(key, 0))
            self.carried[key] = self.carried.get(key, 0) + size
            allowed = min(allowed, left)
        return allowed


@dataclass(eq=False)
class Link:
    """One listening port and the port behind it, both on the loopback."""

    name: str
    port: int
    target: int
    chance: random.Random
    toxics: dict[int, Toxic] = field(default_factory=dict)
    connections: set[Connection] = field(default_factory=set)
    bytes: dict[Direction, int] = field(default_factory=lambda: {Direction.UPSTREAM: 0, Direction.DOWNSTREAM: 0})
    opened: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Refuse new connections and end those there are."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for connection in tuple(self.connections):
            connection.abort()

    async def add(self, toxic: Toxic) -> None:
        self.toxics[toxic.id] = toxic
        if toxic.kind is ToxicKind.DOWN:
            await self.close()
        if toxic.kind is ToxicKind.RESET:
            for connection in tuple(self.connections):
                if connection.hit_by(toxic, toxic.direction):
                    connection.abort()

    async def remove(self, number: int) -> bool:
        toxic = self.toxics.pop(number, None)
        self._changed.set()
        self._changed = asyncio.Event()
        if not any(one.kind is ToxicKind.DOWN for one in self.toxics.values()):
            await self.open()
        return toxic is not None

    async def until_off(self, toxic: Toxic) -> None:
        while toxic.id in self.toxics:
            await self._changed.wait()

    async def pause(self, seconds: float, toxic: Toxic) -> None:
        """Wait, but no longer than the fault lasts."""
        deadline = time.monotonic() + seconds
        while toxic.id in self.toxics and (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        try:
            server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        for _, one in ((reader, writer), server):
            one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self, (reader, writer), server)
        self.connections.add(connection)
        try:
            resets = [one for one in self.toxics.values() if one.kind is ToxicKind.RESET]
            if any(connection.hit_by(one, one.direction) for one in resets):
                connection.abort()
            else:
                await connection.run()
        finally:
            self.connections.discard(connection)
