"""Servers on the loopback that do exactly what a test tells them, byte for byte or frame for frame."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from aiohttp import web

from brokers.adapters.interface import AccountSettings

Connection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Speech = Callable[[web.WebSocketResponse], Awaitable[None]]


def settings_for(port: int, scheme: str = "http") -> AccountSettings:
    return AccountSettings(
        account="scripted",
        base_url=f"{scheme}://127.0.0.1:{port}",
        stream_url=f"ws://127.0.0.1:{port}/stream",
        credentials={"api_key": "PKSCRIPTED", "api_secret": "scripted-secret"},
        connect_timeout_seconds=0.3,
        call_timeout_seconds=0.6,
    )


@asynccontextmanager
async def http_server(serve: Connection) -> AsyncIterator[int]:
    """Run ``serve`` for each connection and yield the port."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def read_request(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """Return the request line and the body of the next request."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lines = head.lower().split("\r\n")
    length = next((int(line.partition(":")[2]) for line in lines if line.startswith("content-length")), 0)
    return head.split("\r\n")[0], await reader.readexactly(length)


def reply_bytes(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body


@asynccontextmanager
async def stream_server(speech: Speech) -> AsyncIterator[int]:
    """Run ``speech`` on each websocket once it is subscribed, then keep it open; yield the port."""

    async def handle(request: web.Request) -> web.WebSocketResponse:
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        await connection.receive()
        await connection.send_bytes(b'{"stream":"authorization","data":{"status":"authorized"}}')
        await connection.receive()
        await speech(connection)
        async for _ in connection:
            continue
        return connection

    app = web.Application()
    app.router.add_get("/stream", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    try:
        yield listener.getsockname()[1]
    finally:
        await runner.cleanup()


async def confirm(connection: web.WebSocketResponse) -> None:
    await connection.send_str(json.dumps({"stream": "listening", "data": {"streams": ["trade_updates"]}}))
