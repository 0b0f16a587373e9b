"""The wire below the calls: what was sent, how often, and until when it is waited for."""

import asyncio
import json
import socket
from dataclasses import replace
from decimal import Decimal

import pytest

from brokers.adapters.alpaca.client import ALPACA
from brokers.adapters.alpaca.transport import CONNECTION_LIMIT
from brokers.adapters.errors import BrokerCallError
from brokers.core.orders import OrderTerms, OrderType, Side, TimeInForce
from reliability.core.taxonomy import FailureKind
from tests.brokers.adapters.alpaca_contract import order_examples
from tests.brokers.adapters.scripted_server import http_server, read_request, reply_bytes, settings_for
from tests.patience import PATIENCE_SECONDS

TERMS = OrderTerms("AAPL", Side.BUY, OrderType.MARKET, TimeInForce.DAY, quantity=Decimal(1))
ORDER = order_examples()["/components/examples/EquityOrderResponse/value"]


def _call(serve, call, **changes):
    """Return the outcome of one call against a scripted server: a value or the error."""

    async def run():
        async with http_server(serve) as port:
            session = ALPACA.open_session(replace(settings_for(port), **changes))
            try:
                return await call(session)
            except BrokerCallError as error:
                return error
            finally:
                await session.close()

    return asyncio.run(run())


def test_a_kept_connection_that_dies_is_not_answered_with_a_second_request():
    requests = []

    async def serve(reader, writer):
        requests.append(await read_request(reader))
        writer.write(reply_bytes(200, b"[]"))
        requests.append(await read_request(reader))

    async def call(session):
        await session.list_positions()
        for again in (session.cancel_order("abc"), session.list_positions()):
            with pytest.raises(BrokerCallError) as caught:
                await again
            yield_kind.append(caught.value.kind)
            await session.list_positions() if len(yield_kind) == 1 else None

    yield_kind = []
    _call(serve, call)

    assert yield_kind == [FailureKind.AMBIGUOUS, FailureKind.TRANSIENT]
    assert [line.split()[0] for line, _ in requests] == ["GET", "DELETE", "GET", "GET"]


def test_a_reply_that_drips_is_cut_off_at_the_deadline():
    async def serve(reader, writer):
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def call(session):
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await session.submit_order("st-1", TERMS)

    error = _call(serve, call)

    assert (error.kind, error.code) == (FailureKind.AMBIGUOUS, "TIMEOUT_READ")


def test_a_reply_without_end_is_given_up():
    async def serve(reader, writer):
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" " * 1_000_000)
            await writer.drain()

    error = _call(serve, lambda session: session.submit_order("st-1", TERMS), call_timeout_seconds=10)

    assert (error.kind, error.code) == (FailureKind.AMBIGUOUS, "DATA_MALFORMED_REPLY")


def test_what_waited_for_a_free_connection_was_provably_not_sent():
    received = []

    async def serve(reader, writer):
        received.append(await read_request(reader))
        await asyncio.sleep(10)

    async def call(session):
        calls = (session.submit_order(f"st-{number}", TERMS) for number in range(CONNECTION_LIMIT + 50))
        return await asyncio.gather(*calls, return_exceptions=True)

    errors = _call(serve, call, call_timeout_seconds=2.5)

    sent = {json.loads(body)["client_order_id"] for _, body in received}
    given_up = {f"st-{number}" for number, error in enumerate(errors) if error.kind is FailureKind.TRANSIENT}
    assert given_up
    assert not given_up & sent
    assert {error.code for error in errors} <= {"TIMEOUT_READ", "TIMEOUT_CONNECT"}


def test_a_server_that_does_not_accept_is_a_connect_timeout():
    async def run():
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            port = listener.getsockname()[1]
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            session = ALPACA.open_session(settings_for(port))
            try:
                await session.submit_order("st-1", TERMS)
            finally:
                await session.close()
                for filler in fillers:
                    filler.close()

    with pytest.raises(BrokerCallError) as caught:
        asyncio.run(run())

    assert (caught.value.kind, caught.value.code) == (FailureKind.TRANSIENT, "TIMEOUT_CONNECT")


def test_a_failed_tls_handshake_was_provably_not_sent():
    async def serve(reader, writer):
        await reader.read(1)
        writer.write(b"this is no TLS\r\n\r\n")
        await writer.drain()

    async def run():
        async with http_server(serve) as port:
            session = ALPACA.open_session(settings_for(port, "https"))
            try:
                await session.submit_order("st-1", TERMS)
            finally:
                await session.close()

    with pytest.raises(BrokerCallError) as caught:
        asyncio.run(run())

    assert (caught.value.kind, caught.value.code) == (FailureKind.TRANSIENT, "NETWORK_TLS_FAILED")


@pytest.mark.parametrize(
    "raw",
    [b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", b"HTTP/1.1 400 Bad\r\nA" + b"a" * 9000],
)
def test_a_broken_reply_settles_nothing(raw):
    async def serve(reader, writer):
        await read_request(reader)
        writer.write(raw + b"\r\n\r\n" if raw.startswith(b"HTTP/1.1 400") else raw)
        await writer.drain()

    assert _call(serve, lambda session: session.submit_order("st-1", TERMS)).kind is FailureKind.AMBIGUOUS


def test_a_redirect_is_not_followed():
    requests = []

    async def serve(reader, writer):
        requests.append(await read_request(reader))
        writer.write(b"HTTP/1.1 307 Moved\r\nLocation: /v2/other\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    error = _call(serve, lambda session: session.submit_order("st-1", TERMS))

    assert error.kind is FailureKind.AMBIGUOUS
    assert len(requests) == 1


@pytest.mark.parametrize("correlation_id", ["plain", "two\r\nX-Evil: 1", "größe", ""])
def test_a_correlation_id_never_breaks_a_request(correlation_id):
    heads = []

    async def serve(reader, writer):
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(reply_bytes(200, json.dumps({**ORDER, "client_order_id": "st-1"}).encode()))

    report = _call(serve, lambda session: session.submit_order("st-1", TERMS, correlation_id))

    assert report.client_order_id == "st-1"
    assert ("X-Correlation-ID: plain" in heads[0]) is (correlation_id == "plain")
    assert "X-Evil" not in heads[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"credentials": {}},
        {"credentials": {"api_key": "k", "api_secret": "two\nlines"}},
        {"base_url": "ftp://broker"},
        {"base_url": "http://user:password@broker"},
        {"base_url": ""},
        {"stream_url": "http://broker/stream"},
    ],
)
def test_an_account_that_cannot_work_is_refused_before_anything_is_sent(changes):
    async def run():
        ALPACA.open_session(replace(settings_for(1), **changes))

    with pytest.raises(BrokerCallError) as caught:
        asyncio.run(run())

    assert caught.value.code == "SYSTEM_ACCOUNT_MISCONFIGURED"
    assert "password" not in str(caught.value)


def test_a_list_whose_full_page_repeats_itself_is_not_taken_for_complete():
    page = json.dumps([{**ORDER, "id": f"order-{number}"} for number in range(500)]).encode()

    async def serve(reader, writer):
        while True:
            await read_request(reader)
            writer.write(reply_bytes(200, page))
            await writer.drain()

    error = _call(serve, lambda session: session.list_open_orders(), call_timeout_seconds=5)

    assert error.code == "DATA_MALFORMED_REPLY"
