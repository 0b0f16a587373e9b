"""A second connection stands by, and a second address of the gateway: trading goes on where the first one is gone."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from brokers.adapters.errors import BrokerCallError
from brokers.adapters.ib import standby
from brokers.adapters.ib.client import IB, IBSession
from brokers.core.reports import ReportedStatus
from brokers.core.streams import Endpoint
from brokers.services.two_addresses import TwoAddressSession
from tests.brokers.adapters.ib.gateway import until
from tests.brokers.conformance.ib_gateway import OPTIONS

PATIENCE_SECONDS = 20.0


class Way:
    """One way to the gateway that a test can cut, refuse or make deaf, connection by connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server: asyncio.Server | None = None
        self.connections: list[asyncio.StreamWriter] = []
        self.deaf: set[int] = set()
        self.forwarded: Counter[int] = Counter()

    async def open(self) -> str:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return f"tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}?{OPTIONS}"

    def cut(self, place: int) -> None:
        self.connections[place].transport.abort()

    async def close(self) -> None:
        """Refuse whoever comes, and end whoever is there."""
        assert self._server is not None
        self._server.close()
        for writer in self.connections:
            writer.transport.abort()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = len(self.connections)
        self.connections.append(writer)
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        directions = (self._carry(reader, back, place), self._carry(there, writer, place))
        try:
            await asyncio.gather(*directions)
        finally:
            back.transport.abort()
            writer.transport.abort()

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, place: int) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                if place not in self.deaf:
                    sink.write(data)
                    self.forwarded[place] += len(data)
        sink.transport.abort()


@asynccontextmanager
async def way_to(gateway) -> AsyncIterator[tuple[Way, str]]:
    way = Way(int(gateway.settings.base_url.partition("?")[0].rpartition(":")[2]))
    address = await way.open()
    try:
        yield way, address
    finally:
        await way.close()


async def becomes(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110  # the adapter has no event for a test to wait for
            await asyncio.sleep(0.01)


async def standing_by(session: IBSession) -> None:
    await becomes(lambda: session._connections._standby.is_ready)


def test_a_lost_connection_is_replaced_by_the_one_that_stands_by_without_another_log_on(gateway, terms):
    async def body():
        async with way_to(gateway) as (way, address), gateway.session(base_url=address) as session:
            placed = await session.submit_order("st-before", terms)
            await standing_by(session)
            first = session._connections._current
            way.cut(0)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await first.received.lost
            log_ons = len(way.connections)
            found = await session.find_order("st-before")
            current = session._connections._current
            after = await session.submit_order("st-after", terms)
            await session.cancel_order(placed.broker_order_id)
            await session.cancel_order(after.broker_order_id)
            ends = [await until(session, name, ReportedStatus.CANCELED) for name in ("st-before", "st-after")]
            return first.client_id, current.client_id, log_ons, found, ends

    first, second, log_ons, found, ends = asyncio.run(body())

    assert (first in range(100, 132), second in range(132, 164), log_ons) == (True, True, 2)
    assert found.status is ReportedStatus.WORKING
    assert [one.client_order_id for one in ends] == ["st-before", "st-after"]
    assert [gateway.ledger().posts_seen[name] for name in ("st-before", "st-after")] == [1, 1]


def test_a_connection_that_says_nothing_while_the_other_answers_is_given_up(gateway, terms, monkeypatch):
    monkeypatch.setattr(standby, "PROBE_SECONDS", 0.1)
    monkeypatch.setattr(standby, "SILENT_SECONDS", 0.3)

    async def body():
        async with way_to(gateway) as (way, address), gateway.session(base_url=address) as session:
            await session.submit_order("st-deaf", terms)
            await standing_by(session)
            first = session._connections._current
            way.deaf.add(0)
            await becomes(lambda: session._connections._current is not first)
            return first, await session.find_order("st-deaf"), session._connections._current

    first, found, current = asyncio.run(body())

    assert current is not first
    assert found.status is ReportedStatus.WORKING


def test_an_order_under_way_on_a_lost_connection_is_unknown_and_sent_nowhere_else(gateway, terms):
    gateway.fault("hang", operation="submit")

    async def body():
        async with way_to(gateway) as (way, address), gateway.session(base_url=address) as session:
            await session.get_account()
            await standing_by(session)
            carried = way.forwarded[0]
            sending = asyncio.create_task(session.submit_order("st-cut", terms))
            await becomes(lambda: session._connections._current.received.submissions)
            await becomes(lambda: way.forwarded[0] > carried)
            way.cut(0)
            with pytest.raises(BrokerCallError) as caught:
                await sending
            gateway.clear()
            await session.get_account()
            return caught.value

    assert asyncio.run(body()).kind == "ambiguous"
    assert gateway.ledger().posts_seen["st-cut"] <= 1


def test_a_second_address_takes_over_when_the_first_is_gone(gateway, terms):
    async def body():
        async with way_to(gateway) as (first, address), way_to(gateway) as (_, other):
            settings = replace(gateway.settings, base_url=address)
            ways = {
                Endpoint.PRIMARY: IB.open_session(settings),
                Endpoint.BACKUP: IB.open_session(replace(settings, base_url=other)),
            }
            session = TwoAddressSession(ways, Endpoint.PRIMARY)
            placed = await session.submit_order("st-first", terms)
            used = [way._connections._current for way in ways.values() if way._connections._current]
            await first.close()
            await becomes(lambda: all(one.received.lost.done() for one in used))
            after = await session.submit_order("st-second", terms)
            await session.cancel_order(placed.broker_order_id)
            ended = await until(session, "st-first", ReportedStatus.CANCELED)
            await session.close()
            return ended, after

    ended, after = asyncio.run(body())

    assert ended.status is ReportedStatus.CANCELED
    assert after.client_order_id == "st-second"
    assert [gateway.ledger().posts_seen[name] for name in ("st-first", "st-second")] == [1, 1]


def test_nothing_stands_by_where_no_ids_are_for_it(gateway, terms):
    async def body():
        address = gateway.settings.base_url + "&standby_client_ids=none"
        async with gateway.session(base_url=address) as session:
            await session.submit_order("st-alone", terms)
            return session._connections._standby._keeper

    assert asyncio.run(body()) is None
