"""Write the ledger: append-only JSON lines, made durable in groups so that one disk flush serves many requests."""

import asyncio
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from brokers.simulator.orders import Record

_encode = json.JSONEncoder(separators=(",", ":")).encode


class LedgerWriter:
    """Collects records and flushes them from one thread. Used from one event loop, as an async context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._pending: list[str] = []
        self._batch: asyncio.Future[None] | None = None
        self._in_flight: asyncio.Future[None] | None = None
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._closing = False
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._flusher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "LedgerWriter":
        self._descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o644)
        _cut_torn_line(self._descriptor)
        self._flusher = asyncio.create_task(self._flush_forever())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        self._closing = True
        self._wake.set()
        if self._flusher is not None:
            await self._flusher
        self._thread.shutdown()
        os.close(self._descriptor)

    def append(self, record: Record) -> None:
        """Add a record, stamped with wall and monotonic nanoseconds. It is on disk once ``durable`` returns."""
        stamped = {**record, "wall_ns": time.time_ns(), "monotonic_ns": time.monotonic_ns()}
        self._pending.append(_encode(stamped))
        if self._batch is None:
            self._batch = asyncio.get_running_loop().create_future()
            self._wake.set()

    async def durable(self) -> None:
        """Wait until everything appended so far is on disk.

        Raises:
            OSError: The disk refused; the ledger is unusable from here on.
        """
        waiting = self._batch or self._in_flight
        if waiting is not None:
            await asyncio.shield(waiting)

    async def _flush_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while not (self._closing and self._batch is None):
            await self._wake.wait()
            self._wake.clear()
            if self._batch is None:
                continue
            lines, batch = self._pending, self._batch
            self._pending, self._batch, self._in_flight = [], None, batch
            try:
                await loop.run_in_executor(self._thread, self._write, "\n".join(lines) + "\n")
            except OSError as error:
                batch.set_exception(error)
                self.failed.set_exception(error)
                return
            batch.set_result(None)
            self._in_flight = None

    def _write(self, text: str) -> None:
        view = memoryview(text.encode())
        while view:
            view = view[os.write(self._descriptor, view) :]
        os.fdatasync(self._descriptor)


def _cut_torn_line(descriptor: int) -> None:
    """Drop what a kill left after the last complete line."""
    size = os.fstat(descriptor).st_size
    while size > 0:
        start = max(size - 65536, 0)
        newline = os.pread(descriptor, size - start, start).rfind(b"\n")
        if newline >= 0:
            os.ftruncate(descriptor, start + newline + 1)
            return
        size = start
    os.ftruncate(descriptor, 0)
