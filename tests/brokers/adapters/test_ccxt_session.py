"""What the ccxt adapter does beside the conformance suite, against the simulated broker in Binance's words."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import ccxt.async_support
import pytest

from brokers.adapters.ccxt.address import direct, read_address
from brokers.adapters.ccxt.client import CcxtAdapter
from brokers.adapters.ccxt.shared import venue_of
from brokers.adapters.errors import BrokerCallError, StreamLostError
from brokers.adapters.registry import UnknownAdapterError, adapter_names, get_adapter
from brokers.core.orders import OrderTerms, OrderType, Side, TimeInForce
from brokers.core.reports import ReportedStatus
from reliability.core.taxonomy import FailureKind
from tests.brokers.conformance.exchanges import CCXT_BINANCE, launch_binance
from tests.brokers.conformance.simulated import REPOSITORY

LIMIT = OrderTerms(
    "BTC/USD", Side.BUY, OrderType.LIMIT, TimeInForce.GTC, quantity=Decimal("0.5"), limit_price=Decimal("1000.00")
)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with launch_binance(tmp_path_factory.mktemp("binance")) as counterpart:
        yield counterpart


@pytest.fixture
def exchange(running):
    running.clear_trouble()
    yield running
    running.clear_trouble()


@pytest.fixture
def name():
    return f"st-{uuid4().hex[:26]}"


def run(exchange, body, adapter=CCXT_BINANCE, **settings):
    async def opened():
        session = adapter.open_session(replace(exchange.settings, **settings))
        try:
            return await body(session)
        finally:
            await session.close()

    return asyncio.run(opened())


def fails(exchange, call, **options):
    with pytest.raises(BrokerCallError) as caught:
        run(exchange, call, **options)
    return caught.value


def requests_in(exchange, path):
    rows = map(json.loads, exchange.control("GET", "/sim/ledger").splitlines())
    return sum(row["kind"] == "request" and row["path"] == path for row in rows)


class TestClock:
    def test_an_order_refused_for_the_time_is_not_sent_again_by_itself_and_the_next_one_has_the_right_time(
        self, exchange, name
    ):
        venue = venue_of("binance", exchange.url)

        async def body(session):
            await session.get_account()
            venue.clock_offset_ms = 60_000
            with pytest.raises(BrokerCallError) as caught:
                await session.submit_order(name, LIMIT)
            return caught.value, await session.submit_order(name, LIMIT)

        error, placed = run(exchange, body)

        assert (error.kind, error.code, error.raw_code) == (FailureKind.TRANSIENT, "SYSTEM_CLOCK_SKEW", "400/-1021")
        assert placed.status is ReportedStatus.WORKING
        assert exchange.count_submissions(name) == 2
        assert abs(venue.clock_offset_ms) < 1000

    def test_a_clock_that_cannot_be_read_keeps_the_order_here(self, exchange, name):
        venue = venue_of("binance", exchange.url)

        async def body(session):
            await session.get_account()
            venue.clock_in_doubt = True
            exchange.control("POST", "/sim/faults", {"kind": "drop_reply", "operation": "data", "count": 1})
            with pytest.raises(BrokerCallError) as caught:
                await session.submit_order(name, LIMIT)
            return caught.value, await session.submit_order(name, LIMIT)

        error, placed = run(exchange, body)

        assert error.kind is FailureKind.TRANSIENT
        assert placed.client_order_id == name
        assert exchange.count_submissions(name) == 1


class TestMarkets:
    def test_they_are_fetched_once_for_all_sessions(self, exchange):
        exchange.control("POST", "/sim/faults", {"kind": "latency", "operation": "data", "ms": 0})

        for _ in range(3):
            run(exchange, lambda session: session.list_open_orders())

        assert json.loads(exchange.control("GET", "/sim/faults"))[0]["hits"] == 0

    def test_an_exchange_whose_markets_cannot_be_had_gets_no_order(self, exchange, name):
        exchange.control("POST", "/sim/faults", {"kind": "error", "operation": "data", "status": 503, "body": "<html>"})
        base_url = exchange.settings.base_url.replace("127.0.0.1", "localhost")

        error = fails(exchange, lambda session: session.submit_order(name, LIMIT), base_url=base_url)

        assert (error.kind, error.code) == (FailureKind.TRANSIENT, "BROKER_UNAVAILABLE")
        assert exchange.count_submissions(name) == 0


class TestTerms:
    @pytest.mark.parametrize(
        "change",
        [
            {"quantity": Decimal("0.123456789")},
            {"limit_price": Decimal("1000.005")},
            {"time_in_force": TimeInForce.DAY},
            {"order_type": OrderType.MARKET, "limit_price": None, "time_in_force": TimeInForce.FOK},
        ],
        ids=str,
    )
    def test_what_the_exchange_would_change_in_silence_is_refused_and_not_sent(self, exchange, name, change):
        error = fails(exchange, lambda session: session.submit_order(name, replace(LIMIT, **change)))

        assert (error.kind, error.code) == (FailureKind.REJECTED, "VALIDATION_INVALID_ORDER")
        assert exchange.count_submissions(name) == 0

    def test_an_unknown_symbol_is_refused_and_not_sent(self, exchange, name):
        error = fails(exchange, lambda session: session.submit_order(name, replace(LIMIT, symbol="NO/SUCH")))

        assert (error.kind, error.code) == (FailureKind.REJECTED, "VALIDATION_UNKNOWN_SYMBOL")
        assert exchange.count_submissions(name) == 0

    @pytest.mark.parametrize("length", [0, 37])
    def test_an_id_that_the_exchange_would_not_keep_is_refused(self, exchange, length):
        error = fails(exchange, lambda session: session.submit_order("x" * length, LIMIT))

        assert (error.kind, error.code) == (FailureKind.REJECTED, "VALIDATION_INVALID_ORDER")

    @pytest.mark.parametrize(
        "change",
        [
            {"time_in_force": TimeInForce.IOC},
            {"order_type": OrderType.STOP_LIMIT, "stop_price": Decimal("200000.00")},
            {"order_type": OrderType.STOP, "limit_price": None, "stop_price": Decimal("200000.00")},
            {"order_type": OrderType.MARKET, "limit_price": None, "time_in_force": TimeInForce.DAY},
            {"order_type": OrderType.MARKET, "limit_price": None, "quantity": None, "notional": Decimal("250.5")},
        ],
        ids=str,
    )
    def test_every_kind_of_order_arrives_as_it_is_meant(self, exchange, name, change):
        terms = replace(LIMIT, **change)

        placed = run(exchange, lambda session: session.submit_order(name, terms))

        rows = map(json.loads, exchange.control("GET", "/sim/ledger").splitlines())
        order = next(r["order"] for r in rows if r["kind"] == "accepted" and r["order"]["client_order_id"] == name)
        assert placed.client_order_id == name
        assert order["type"] == terms.order_type
        for field, value in (("notional", terms.notional), ("limit_price", terms.limit_price)):
            assert (order[field] and Decimal(order[field])) == value
        assert terms.quantity is None or Decimal(order["quantity"]) == terms.quantity


class TestDuplicates:
    def test_an_id_in_use_is_a_reason_to_look_and_no_refusal(self, exchange, name):
        async def body(session):
            await session.submit_order(name, LIMIT)
            return await session.submit_order(name, LIMIT)

        error = fails(exchange, body)

        assert (error.kind, error.code) == (FailureKind.AMBIGUOUS, "BROKER_DUPLICATE_CLIENT_ORDER_ID")

    def test_an_id_that_may_be_used_again_is_not_claimed_to_be_refused(self, exchange, name):
        async def body(session):
            first = await session.submit_order(name, LIMIT)
            await session.cancel_order(first.broker_order_id)
            return first, await session.submit_order(name, LIMIT)

        first, second = run(exchange, body)

        assert first.broker_order_id != second.broker_order_id
        assert not CCXT_BINANCE.capabilities.dedupes_client_order_id


class TestLookingUp:
    def test_without_a_symbol_an_open_order_is_found_and_absence_is_not_claimed(self, exchange, name):
        async def body(session):
            placed = await session.submit_order(name, LIMIT)
            found = await session.find_order(name)
            with pytest.raises(BrokerCallError) as caught:
                await session.find_order(f"{name}x")
            return placed, found, caught.value

        placed, found, error = run(exchange, body)

        assert found.broker_order_id == placed.broker_order_id
        assert (error.kind, error.code) == (FailureKind.TRANSIENT, "DATA_NOT_AVAILABLE")

    def test_an_exchange_of_which_nothing_is_known_never_claims_absence(self, exchange, name):
        cautious = CcxtAdapter("binanceus")

        async def body(session):
            placed = await session.submit_order(name, LIMIT)
            assert (await session.find_order(name, "BTC/USD")).broker_order_id == placed.broker_order_id
            await session.cancel_order(placed.broker_order_id)
            await session.find_order(name, "BTC/USD")

        error = fails(exchange, body, adapter=cautious)

        assert error.kind is FailureKind.TRANSIENT
        assert cautious.capabilities.finds_by_client_order_id is False
        assert exchange.count_submissions(name) == 1

    def test_an_exchange_without_a_stream_says_so_at_once(self, exchange):
        async def body(session):
            return [event async for event in session.stream_orders()]

        with pytest.raises(StreamLostError) as caught:
            run(exchange, body, adapter=CcxtAdapter("kraken"))

        assert caught.value.code == "BROKER_STREAM_REFUSED"


class TestSetUp:
    @pytest.mark.parametrize(
        "changed",
        [
            {"base_url": "ftp://127.0.0.1"},
            {"base_url": "http://user:word@127.0.0.1"},
            {"base_url": "http://127.0.0.1?sandbox=perhaps"},
            {"base_url": "https://api.binance.com?sandbox=true"},
            {"credentials": {}},
            {"credentials": {"api_key": "only-a-key"}},
        ],
        ids=str,
    )
    def test_what_cannot_work_is_called_misconfigured(self, exchange, changed):
        error = fails(exchange, lambda session: session.get_account(), **changed)

        assert (error.kind, error.code) == (FailureKind.TRANSIENT, "SYSTEM_ACCOUNT_MISCONFIGURED")

    @pytest.mark.parametrize(
        ("base_url", "url"),
        [
            ("https://api.binance.com", "https://api.binance.com/api/v3"),
            ("https://testnet.binance.vision", "https://testnet.binance.vision/api/v3"),
            ("https://api-gcp.binance.com", "https://api-gcp.binance.com/api/v3"),
            ("http://127.0.0.1:9/prefix?currency=EUR", "http://127.0.0.1:9/prefix/api/v3"),
        ],
    )
    def test_the_address_decides_where_orders_go(self, exchange, base_url, url):
        account = replace(exchange.settings, base_url=base_url)
        client = ccxt.async_support.binance()

        direct(client, read_address(account, "USDT"), account)

        assert client.urls["api"]["private"] == url
        assert client.isSandboxModeEnabled is ("testnet" in base_url)

    def test_the_address_names_currency_and_options(self, exchange):
        account = replace(exchange.settings, base_url="https://api.binance.com?currency=eur&defaultType=spot&x=false")

        address = read_address(account, "USDT")

        assert (address.currency, address.options) == ("EUR", {"defaultType": "spot", "x": False})

    def test_any_exchange_that_is_installed_has_an_adapter_and_no_other(self):
        assert {"ccxt:binance", "ccxt:kraken", "alpaca"} <= set(adapter_names())
        assert get_adapter("ccxt:kraken").name == "ccxt:kraken"
        with pytest.raises(UnknownAdapterError):
            get_adapter("ccxt:nosuch")

    def test_choosing_among_them_does_not_import_ccxt(self):
        program = (
            "import sys; from brokers.adapters.registry import adapter_names, get_adapter;"
            "assert get_adapter('ccxt:binance').name in adapter_names(); assert 'ccxt' not in sys.modules"
        )

        assert subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY).returncode == 0
