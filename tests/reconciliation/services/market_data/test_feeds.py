"""Feeds on the wire of two simulated brokers: who is heard, who steps in, and what was missed is fetched."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from brokers.adapters.ccxt import market_data as ccxt_market_data
from brokers.models import Account, Broker
from brokers.services import market_data
from brokers.services.accounts import forget_accounts
from brokers.services.credentials import set_credentials
from brokers.services.streams.database import in_database
from reconciliation.core.bars import instant
from reconciliation.models import Bar, BarRelease, BarSeries, Feed, Gap, LastTick, QuestionableBar
from reconciliation.services.market_data import feed_reader
from reconciliation.services.market_data.feed_supervisor import FeedSupervisor
from reconciliation.services.market_data.watching import look_at_series
from reliability.models import AuditEntry
from tests.brokers.simulator.process import Simulator
from tests.fakes import make_due, run_due

PATIENCE_SECONDS = 60


@pytest.fixture
def brokers(tmp_path: Path, committed: None) -> Iterator[dict[str, Simulator]]:
    """Two simulated brokers of one market, with an account and a feed each, both delivering AAPL."""
    forget_accounts()
    running = {}
    for number, name in enumerate(("sim-a", "sim-b")):
        simulator = Simulator(tmp_path / name, ("--data-seed", "1")).start()
        running[name] = simulator
        broker = Broker.objects.create(name=name, adapter="alpaca", base_url=simulator.url, stream_url=simulator.url)
        account = Account.objects.create(name=name, broker=broker, is_default=number == 0)
        set_credentials(account, {"api_key": "test-key", "api_secret": "test-secret"})
        forget_accounts()  # what is known of accounts is up to a second old
        stream_url = simulator.url.replace("http", "ws") + "/v2/iex"
        call_command("feeds", "add", name, account=name, stream_url=stream_url, priority=number)
        call_command("feeds", "subscribe", name, symbol="AAPL", timeframe="1Min", calendar="24/7")
    yield running
    forget_accounts()
    asyncio.run(close_sources())
    for simulator in running.values():
        simulator.stop()


async def close_sources() -> None:
    """Close what the jobs opened; their loop is gone."""
    for source in market_data._sources.values():
        await source.close()
    market_data._sources.clear()


def minute(ago: int) -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=ago)


def send(simulator: Simulator, stamp: datetime) -> None:
    """Have a broker send the bar that it also keeps."""
    query = f"symbols=AAPL&timeframe=1Min&start={stamp:%Y-%m-%dT%H:%M:00Z}&end={stamp:%Y-%m-%dT%H:%M:00Z}"
    (bar,) = simulator.call("GET", f"/v2/stocks/bars?{query}").json()["bars"]["AAPL"]
    simulator.call("POST", "/sim/bars", json={"symbol": "AAPL", "bar": bar})


async def until(question: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await in_database(question):
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.1)


def states() -> dict[str, str]:
    return dict(Feed.objects.values_list("name", "state"))


def ticks_of(symbol: str) -> set[str]:
    """Return the feeds that brought a quote and a trade of a symbol."""
    rows = LastTick.objects.filter(symbol=symbol, bid__gt=0, ask__gt=0, price__gt=0, refused=0)
    return set(rows.filter(quote_at__gt=minute(5), trade_at__gt=minute(5)).values_list("feed__name", flat=True))


def test_the_other_source_steps_in_and_what_nobody_sent_is_fetched(brokers):
    first, second = minute(6), minute(5)

    async def scenario() -> None:
        reading = asyncio.create_task(FeedSupervisor().run())
        try:
            await until(lambda: set(states().values()) == {"up"})
            await until(lambda: ticks_of("AAPL") == {"sim-a", "sim-b"})
            await asyncio.to_thread(send, brokers["sim-a"], first)
            await asyncio.to_thread(send, brokers["sim-b"], first)
            await until(lambda: Bar.objects.filter(opened_at=first).exists())
            brokers["sim-a"].fault("stall_streams")
            await until(lambda: states() == {"sim-a": "down", "sim-b": "up"})
            await asyncio.to_thread(send, brokers["sim-b"], second)
            await until(lambda: Bar.objects.filter(opened_at=second).exists())
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    asyncio.run(scenario())
    assert dict(Bar.objects.values_list("opened_at", "source")) == {first: "sim-a", second: "sim-b"}

    BarSeries.objects.update(checked_until=second)
    look_at_series(datetime.now(UTC))
    assert Gap.objects.get().missing >= 3
    while Gap.objects.exclude(state="filled").exists():
        assert run_due("market_data")
        make_due()
    stamps = [int(one.timestamp()) for one in BarRelease.objects.values_list("opened_at", flat=True)]
    assert stamps == sorted(set(stamps))
    assert instant(stamps[0]) == first
    assert [after - before for before, after in itertools.pairwise(stamps)] == [60] * (len(stamps) - 1)


def test_bars_that_wait_for_the_primary_are_taken_when_it_goes_down(brokers, monkeypatch):
    monkeypatch.setattr(feed_reader, "PATIENCE_SECONDS", 3600)
    stamp = minute(5)

    async def scenario() -> None:
        reading = asyncio.create_task(FeedSupervisor().run())
        try:
            await until(lambda: set(states().values()) == {"up"})
            await until(lambda: ticks_of("AAPL") == {"sim-a", "sim-b"})  # both subscriptions are heard
            await asyncio.to_thread(send, brokers["sim-b"], stamp)
            await until(lambda: LastTick.objects.filter(feed__name="sim-b", bar_at=stamp).exists())
            assert not await in_database(lambda: Bar.objects.filter(opened_at=stamp).exists())
            brokers["sim-a"].fault("stall_streams")
            await until(lambda: Bar.objects.filter(opened_at=stamp).exists())
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    asyncio.run(scenario())
    assert Bar.objects.get(opened_at=stamp).source == "sim-b"


@pytest.fixture
def exchange(tmp_path: Path, committed: None) -> Iterator[Simulator]:
    """A simulated exchange behind ccxt, with an account and a feed of the minutes of the last quarter of an hour."""
    forget_accounts()
    simulator = Simulator(tmp_path / "exchange").start()
    broker = Broker.objects.create(name="pairs", adapter="ccxt:binance", base_url=f"{simulator.url}?currency=USD")
    account = Account.objects.create(name="pairs", broker=broker, is_default=True)
    set_credentials(account, {"api_key": "test-key", "api_secret": "test-secret"})
    forget_accounts()
    call_command("feeds", "add", "pairs", account="pairs")
    options = {"symbol": "BTC/USD", "timeframe": "1Min", "calendar": "24/7", "since": minute(15)}
    call_command("feeds", "subscribe", "pairs", **options)
    yield simulator
    forget_accounts()
    asyncio.run(close_sources())
    simulator.stop()


def test_the_bars_of_an_exchange_are_asked_for_page_by_page_and_its_past_is_filled(exchange, monkeypatch):
    monkeypatch.setattr(ccxt_market_data, "PAGE_SIZE", 4)

    async def scenario() -> None:
        reading = asyncio.create_task(FeedSupervisor().run())
        try:
            await until(lambda: Bar.objects.exists())
            await until(lambda: ticks_of("BTC/USD") == {"pairs"})
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    asyncio.run(scenario())
    look_at_series(datetime.now(UTC))
    while Gap.objects.exclude(state="filled").exists():
        assert run_due("market_data")
        make_due()
    bars = dict(Bar.objects.values_list("opened_at", "close"))
    assert min(bars) == minute(14) or min(bars) == minute(15)
    stamps = sorted(int(one.timestamp()) for one in bars)
    assert [after - before for before, after in itertools.pairwise(stamps)] == [60] * (len(stamps) - 1)
    query = f"symbols=BTC/USD&timeframe=1Min&start={min(bars):%Y-%m-%dT%H:%M:00Z}&end={max(bars):%Y-%m-%dT%H:%M:00Z}"
    theirs = exchange.call("GET", f"/v2/stocks/bars?{query}").json()["bars"]["BTC/USD"]
    assert [float(bars[one]) for one in sorted(bars)] == [bar["c"] for bar in theirs]
    assert not QuestionableBar.objects.exists()


@pytest.mark.django_db
def test_a_feed_needs_an_account_and_a_proper_address(capsys):
    with pytest.raises(CommandError, match="no account called 'nobody'"):
        call_command("feeds", "add", "x", account="nobody")
    with pytest.raises(CommandError, match="is no address"):
        call_command("feeds", "add", "x", account="nobody", stream_url="http://x")
    with pytest.raises(CommandError, match="no feed called 'x'"):
        call_command("feeds", "subscribe", "x", symbol="S", timeframe="1Min", calendar="24/7")
    assert not AuditEntry.objects.exists()
