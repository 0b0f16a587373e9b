"""Each fault of the proxy, on real sockets before an echoing server. What is slow is compared, never timed."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from config.chaos.proxy.link import Link
from config.chaos.proxy.toxics import ToxicRequestError, parse_toxic

_PATIENCE = 20.0
_A_MOMENT = 0.2


@contextlib.asynccontextmanager
async def echoing_link() -> AsyncIterator[Link]:
    """A link before a server that answers with what it is told, and closes when the client does."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    link = Link("echo", 0, server.sockets[0].getsockname()[1], random.Random(1))
    await link.open()
    try:
        yield link
    finally:
        await link.close()
        server.close()


def on_link(body: Callable[[Link], Awaitable[None]]) -> None:
    async def run() -> None:
        async with echoing_link() as link:
            await asyncio.wait_for(body(link), _PATIENCE)

    asyncio.run(run())


async def switch_on(link: Link, number: int = 1, **fields: Any) -> int:
    await link.add(parse_toxic(number, {"link": "echo", **fields}, {"echo": link}))
    return number


async def say(link: Link, data: bytes) -> bytes:
    """Return what comes back of one message on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    try:
        writer.write(data)
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


async def says_nothing(link: Link) -> bool:
    """Tell whether a new connection ends without an answer, with a reset or without one."""
    try:
        return await say(link, b"again") == b""
    except ConnectionError:
        return True


async def comes_back(reader: asyncio.StreamReader, seconds: float = _A_MOMENT) -> bytes | None:
    try:
        return await asyncio.wait_for(reader.read(100), seconds)
    except TimeoutError:
        return None


def test_without_a_fault_everything_passes_whole() -> None:
    data = random.Random(2).randbytes(300_000)

    async def body(link: Link) -> None:
        assert await say(link, data) == data
        assert sum(link.bytes.values()) == 2 * len(data)

    on_link(body)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "latency", "ms": 150, "direction": "upstream"},
        {"kind": "latency", "ms": 100, "jitter_ms": 100},
        {"kind": "bandwidth", "bytes_per_second": 100, "direction": "downstream"},
        {"kind": "slow_close", "ms": 200},
    ],
)
def test_slow_links_lose_nothing_and_are_slower_than_well_ones(fields: dict[str, Any]) -> None:
    data = b"x" * 30

    async def body(link: Link) -> None:
        await switch_on(link, **fields)
        began = time.monotonic()
        assert await say(link, data) == data
        assert time.monotonic() - began > 0.05

    on_link(body)


def test_a_wait_ends_with_its_fault() -> None:
    async def body(link: Link) -> None:
        number = await switch_on(link, kind="latency", ms=3_600_000)
        answer = asyncio.create_task(say(link, b"late"))
        await asyncio.sleep(_A_MOMENT)
        assert not answer.done()
        await link.remove(number)
        assert await answer == b"late"

    on_link(body)


def test_silence_holds_back_one_direction_and_delivers_at_its_end() -> None:
    async def body(link: Link) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        writer.write(b"before")
        assert await reader.readexactly(6) == b"before"
        number = await switch_on(link, kind="silence", direction="downstream")
        writer.write(b"meanwhile")
        assert await comes_back(reader) is None
        await link.remove(number)
        assert await reader.readexactly(9) == b"meanwhile"
        writer.close()

    on_link(body)


def test_a_reset_ends_living_connections_and_new_ones() -> None:
    async def body(link: Link) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        number = await switch_on(link, kind="reset")
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        assert await says_nothing(link)
        await link.remove(number)
        assert await say(link, b"well") == b"well"

    on_link(body)


def test_slices_arrive_in_pieces_and_in_order() -> None:
    async def body(link: Link) -> None:
        await switch_on(link, kind="slice", bytes=1, ms=20, direction="downstream")
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        writer.write(b"abcdef")
        pieces = []
        while sum(map(len, pieces)) < 6:
            pieces.append(await reader.read(100))
        assert b"".join(pieces) == b"abcdef"
        assert len(pieces) > 1
        writer.close()

    on_link(body)


@pytest.mark.parametrize("direction", ["upstream", "downstream"])
def test_a_cut_lets_exactly_so_many_bytes_through(direction: str) -> None:
    async def body(link: Link) -> None:
        await switch_on(link, kind="cut", after_bytes=10, direction=direction)
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        writer.write(b"x" * 100)
        got = b""
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(100):
                got += chunk
        assert len(got) <= 10
        passed = link.bytes["upstream" if direction == "upstream" else "downstream"]  # type: ignore[index]
        assert passed == 10
        writer.close()

    on_link(body)


def test_a_link_that_is_down_refuses_and_comes_back_on_the_same_port() -> None:
    async def body(link: Link) -> None:
        port = link.port
        number = await switch_on(link, kind="down")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await link.remove(number)
        assert link.port == port
        assert await say(link, b"back") == b"back"

    on_link(body)


def test_a_probability_strikes_that_share_of_connections() -> None:
    async def body(link: Link) -> None:
        await switch_on(link, kind="cut", after_bytes=0, probability=0.5)
        ends = []
        for _ in range(60):
            try:
                ends.append(await say(link, b"x") == b"x")
            except ConnectionError:
                ends.append(False)
        assert 10 < sum(ends) < 50

    on_link(body)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "latency"},
        {"kind": "latency", "ms": -1},
        {"kind": "nothing"},
        {"kind": "reset", "direction": "sideways"},
        {"kind": "reset", "probability": 2},
        {"kind": "reset", "ms": 5},
        {"kind": "reset", "link": "elsewhere"},
        ["reset"],
    ],
)
def test_what_is_asked_for_wrongly_is_refused(fields: Any) -> None:
    wanted = {"link": "echo", **fields} if isinstance(fields, dict) else fields
    with pytest.raises(ToxicRequestError):
        parse_toxic(1, wanted, {"echo": object()})
