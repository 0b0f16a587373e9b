"""Probes that tell whether a server answers. Each opens one loopback connection and raises nothing."""

import asyncio
import struct
from collections.abc import Awaitable, Callable

from config.stack.postgres import DATABASE, ROLE

_TIMEOUT_SECONDS = 2.0


def http_answers(port: int, path: str) -> Callable[[], Awaitable[bool]]:
    """Ready when GET ``path`` answers 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()

    async def probe() -> bool:
        return b" 200 " in (await _ask(port, request))[:32]

    return probe


def valkey_answers(port: int, password: str) -> Callable[[], Awaitable[bool]]:
    """Ready when PING is answered, which it is not while the data is loaded."""
    request = f"AUTH {password}\r\nPING\r\nQUIT\r\n".encode()

    async def probe() -> bool:
        return b"+PONG" in await _ask(port, request)

    return probe


def postgres_answers(port: int) -> Callable[[], Awaitable[bool]]:
    """Ready when a login is asked for its password; during recovery the answer is an error instead."""
    body = struct.pack("!I", 196608) + f"user\0{ROLE}\0database\0{DATABASE}\0\0".encode()
    request = struct.pack("!I", len(body) + 4) + body

    async def probe() -> bool:
        return (await _ask(port, request, enough=1)).startswith(b"R")

    return probe


async def _ask(port: int, request: bytes, enough: int = 32) -> bytes:
    """Return the first bytes of the answer, or none when nobody answers in time."""
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request)
                answer = b""
                while len(answer) < enough and (part := await reader.read(enough)):
                    answer += part
                return answer
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""
