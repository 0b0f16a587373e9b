"""Market data as the official SDK and our own adapter hear it from a simulator process."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import aiohttp
import msgpack as reference
import pytest
from alpaca.data.live import StockDataStream
from hypothesis import given
from hypothesis import strategies as st

from brokers.adapters.alpaca.market_data import AlpacaMarketData, _messages, _news
from brokers.adapters.errors import StreamLostError
from brokers.adapters.interface import AccountSettings
from brokers.core.reports import TickKind
from brokers.simulator import msgpack

BAR = {"t": "2024-07-08T14:00:00Z", "o": 100.5, "h": 101, "l": 100.25, "c": 100.75, "v": 1200, "n": 12, "vw": 100.6}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_messages_are_those_of_the_reference_library(value):
    assert reference.unpackb(msgpack.pack(value)) == value
    assert msgpack.unpack(reference.packb(value)) == value


@given(st.binary(max_size=40))
def test_anything_else_is_refused_and_nothing_worse(data):
    try:
        msgpack.unpack(data)
    except ValueError:
        return


def test_the_sdk_hears_bars_and_revisions(simulator, eventually):
    stream = StockDataStream("test-key", "test-secret", url_override=simulator.url.replace("http", "ws") + "/v2/iex")
    heard = []

    async def hear(bar):
        heard.append(bar)

    stream.subscribe_bars(hear, "AAPL")
    stream.subscribe_updated_bars(hear, "AAPL")
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    try:
        send = {"symbol": "AAPL", "bar": BAR}
        eventually(lambda: simulator.call("POST", "/sim/bars", json=send).json()["listeners"])
        simulator.call("POST", "/sim/bars", json={**send, "bar": {**BAR, "v": 1300}, "revision": True})
        eventually(lambda: [bar for bar in heard if bar.volume == 1300])
    finally:
        asyncio.run_coroutine_threadsafe(stream.stop_ws(), stream._loop)
        thread.join(timeout=10)

    assert (heard[0].symbol, heard[0].open, heard[0].timestamp) == ("AAPL", 100.5, datetime(2024, 7, 8, 14, tzinfo=UTC))


def session(simulator, **changes) -> AlpacaMarketData:
    stream_url = simulator.url.replace("http", "ws") + "/v2/iex"
    credentials = {"api_key": "test-key", "api_secret": "test-secret"}
    settings = {"account": "a", "base_url": simulator.url, "stream_url": stream_url, "credentials": credentials}
    return AlpacaMarketData(AccountSettings(**settings | changes))


def test_the_adapter_fetches_exactly_the_bars_asked_for(simulator):
    start = datetime(2024, 7, 8, 14, tzinfo=UTC)

    async def fetch():
        source = session(simulator)
        try:
            return await source.fetch_bars("AAPL", "1Min", start, start + timedelta(minutes=9), "")
        finally:
            await source.close()

    page = asyncio.run(fetch())
    assert [bar.given["timestamp"] for bar in page.bars] == [f"2024-07-08T14:0{minute}:00Z" for minute in range(10)]
    assert page.next_token == ""


def test_the_adapter_hears_what_is_sent_and_notices_a_stall_by_itself(simulator):
    async def listen():
        source = session(simulator)
        stream = source.stream_market(["AAPL"])
        try:
            async with asyncio.timeout(20):
                assert await anext(stream) is None
                for revision in (False, True):
                    fields = {"symbol": "AAPL", "bar": BAR, "revision": revision}
                    await asyncio.to_thread(simulator.call, "POST", "/sim/bars", json=fields)
                heard = []
                while len(heard) < 2:
                    heard += news.bars if (news := await anext(stream)) else ()
                simulator.fault("stall_streams")
                return heard, await end_of(stream)
        finally:
            await stream.aclose()
            await source.close()

    heard, code = asyncio.run(listen())
    assert [(bar.symbol, bar.given["close"], bar.is_revision) for bar in heard] == [
        ("AAPL", heard[0].given["close"], False),
        ("AAPL", heard[0].given["close"], True),
    ]
    assert str(heard[0].given["close"]) == "100.75"
    assert code == "NETWORK_STREAM_SILENT"


def test_the_adapter_hears_and_fetches_last_quotes_and_trades(simulator):
    async def listen():
        source = session(simulator)
        stream = source.stream_market(["AAPL"], ["AAPL"])
        try:
            async with asyncio.timeout(60):
                fetched = [tick for kind in TickKind for tick in await source.fetch_ticks(kind, ["AAPL", "MSFT"])]
                heard = {}
                async for news in stream:
                    heard |= {tick.kind: tick for tick in news.ticks} if news else {}
                    if len(heard) == 2:
                        return fetched, heard
        finally:
            await stream.aclose()
            await source.close()

    fetched, heard = asyncio.run(listen())
    assert sorted((tick.symbol, tick.kind) for tick in fetched) == [
        (symbol, kind) for symbol in ("AAPL", "MSFT") for kind in (TickKind.QUOTE, TickKind.TRADE)
    ]
    for tick in (*fetched, *heard.values()):
        assert datetime.fromisoformat(tick.given["timestamp"]) > datetime(2025, 1, 1, tzinfo=UTC)
        numbers = [float(value) for name, value in tick.given.items() if name != "timestamp"]
        assert len(numbers) == (4 if tick.kind is TickKind.QUOTE else 2)
        assert min(numbers) > 0


def test_a_stream_that_does_not_grant_quotes_delivers_its_bars_all_the_same():
    refused = b'[{"T":"error","code":405,"msg":"symbol limit exceeded"},{"T":"b","S":"AAPL","c":1}]'
    frame = aiohttp.WSMessage(aiohttp.WSMsgType.BINARY, refused, None)

    assert [bar.given["close"] for bar in _news(_messages(frame, {405})).bars] == [1]
    with pytest.raises(StreamLostError):
        _messages(frame)


async def end_of(stream) -> str:
    """Listen until the stream is lost, and return why."""
    try:
        async for _ in stream:
            pass
    except StreamLostError as lost:
        return lost.code
    return ""


def test_wrong_credentials_are_told_as_such(start_simulator):
    guarded = start_simulator("--api-key", "right", "--api-secret", "also-right")

    async def listen():
        source = session(guarded)
        try:
            await anext(source.stream_market(["AAPL"]))
        finally:
            await source.close()

    with pytest.raises(StreamLostError) as lost:
        asyncio.run(listen())
    assert lost.value.code == "AUTH_INVALID_CREDENTIALS"


def test_brokers_of_one_market_have_the_same_bars(simulator, start_simulator):
    other = start_simulator("--seed", "2", "--data-seed", "1")
    query = "/v2/stocks/bars?symbols=AAPL&timeframe=1Min&start=2024-07-08T14:00:00Z&end=2024-07-08T14:05:00Z"

    bars = [one.call("GET", query).json()["bars"] for one in (simulator, other)]
    assert bars[0] == bars[1]
