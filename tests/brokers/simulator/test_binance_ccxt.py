"""ccxt as it is published, driving a simulator process through Binance's wire."""

import time
from decimal import Decimal
from uuid import uuid4

import ccxt
import pytest

from reconciliation.core.bars import stamp_text
from tests.brokers.simulator.process import KEYS


@pytest.fixture
def exchange(simulator):
    exchange = ccxt.binance(
        {
            "apiKey": KEYS["APCA-API-KEY-ID"],
            "secret": KEYS["APCA-API-SECRET-KEY"],
            "options": {
                "fetchMarkets": {"types": ["spot"]},
                "fetchMargins": False,
                "fetchCurrencies": False,
                "warnOnFetchOpenOrdersWithoutSymbol": False,
            },
        }
    )
    exchange.urls["api"] = {
        name: f"{simulator.url}/api/v3" if isinstance(url, str) else url for name, url in exchange.urls["api"].items()
    }
    exchange.has["fetchCurrencies"] = False
    return exchange


@pytest.fixture
def client_order_id():
    return f"t-{uuid4().hex[:20]}"


def test_its_markets_and_their_steps_are_read(exchange):
    market = exchange.load_markets()["BTC/USD"]

    assert (market["id"], market["active"], market["spot"]) == ("BTCUSD", True, True)
    assert (market["precision"]["amount"], market["precision"]["price"]) == (1e-8, 0.01)


def test_its_clock_agrees(exchange):
    assert abs(exchange.load_time_difference()) < 1000


def test_an_order_is_placed_found_by_both_ids_and_canceled(exchange, client_order_id):
    placed = exchange.create_order("BTC/USD", "limit", "buy", 0.5, 1000, {"clientOrderId": client_order_id})
    by_ours = exchange.fetch_order("", "BTC/USD", {"clientOrderId": client_order_id})
    listed = [order["id"] for order in exchange.fetch_open_orders("BTC/USD")]
    canceled = exchange.cancel_order(placed["id"], "BTC/USD")

    assert placed["clientOrderId"] == by_ours["clientOrderId"] == client_order_id
    assert by_ours["id"] == placed["id"]
    assert placed["id"] in listed
    assert (placed["status"], canceled["status"]) == ("open", "canceled")
    assert exchange.fetch_order(placed["id"], "BTC/USD")["status"] == "canceled"
    assert exchange.fetch_orders("BTC/USD")[-1]["id"] == placed["id"]


def test_a_market_order_fills_into_trades_and_balances(exchange, eventually):
    before = exchange.fetch_balance()
    placed = exchange.create_order("BTC/USD", "market", "buy", 0.25)
    eventually(lambda: exchange.fetch_order(placed["id"], "BTC/USD")["status"] == "closed")
    after = exchange.fetch_balance()
    trades = [trade for trade in exchange.fetch_my_trades("BTC/USD") if trade["order"] == placed["id"]]

    assert sum(Decimal(str(trade["amount"])) for trade in trades) == Decimal("0.25")
    assert after["BTC"]["total"] - before["BTC"]["total"] == pytest.approx(0.25)
    assert after["USD"]["total"] == pytest.approx(before["USD"]["total"] - sum(trade["cost"] for trade in trades))


def test_an_order_by_cost_is_for_that_much(exchange, eventually):
    placed = exchange.create_market_order_with_cost("ETH/USD", "buy", 500)
    filled = eventually(lambda: (o := exchange.fetch_order(placed["id"], "ETH/USD"))["status"] == "closed" and o)

    assert filled["cost"] == pytest.approx(500, rel=0.01)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda x: x.create_order("BTC/USD", "limit", "buy", 5000, 90000), ccxt.InsufficientFunds),
        (lambda x: x.create_order("BTC/USD", "market", "sell", 9_000_000), ccxt.InsufficientFunds),
        (lambda x: x.create_order("BTC/USD", "limit", "buy", 0.00000001, 1), ccxt.BadRequest),  # by address
        (lambda x: x.fetch_order("123456", "BTC/USD"), ccxt.OrderNotFound),
        (lambda x: x.cancel_order("123456", "BTC/USD"), ccxt.OrderNotFound),
        (lambda x: x.publicGetExchangeInfo({"symbol": "NOSUCH"}), ccxt.BadSymbol),
        (lambda x: x.privateGetMyTrades({}), ccxt.BadRequest),
    ],
)
def test_a_refusal_is_one_of_its_own_classes(exchange, call, error):
    exchange.load_markets()

    with pytest.raises(error):
        call(exchange)


def test_wrong_credentials_are_refused_as_such(exchange):
    exchange.apiKey = "wrong-key"
    with pytest.raises(ccxt.AuthenticationError):
        exchange.fetch_balance()

    exchange.apiKey, exchange.secret = KEYS["APCA-API-KEY-ID"], "wrong-secret"
    with pytest.raises(ccxt.AuthenticationError):
        exchange.fetch_balance()


@pytest.mark.parametrize("skew_ms", [-120_000, 120_000])
def test_a_clock_that_is_off_is_refused_as_such(exchange, skew_ms):
    exchange.load_markets()
    exchange.options["timeDifference"] = skew_ms

    with pytest.raises(ccxt.InvalidNonce):
        exchange.fetch_balance()


def test_the_same_id_is_refused_while_its_order_is_open_and_free_afterwards(exchange, client_order_id):
    first = exchange.create_order("BTC/USD", "limit", "buy", 0.5, 1000, {"clientOrderId": client_order_id})
    with pytest.raises(ccxt.InvalidOrder, match="Duplicate order sent"):
        exchange.create_order("BTC/USD", "limit", "buy", 0.5, 1000, {"clientOrderId": client_order_id})
    exchange.cancel_order(first["id"], "BTC/USD")

    second = exchange.create_order("BTC/USD", "limit", "buy", 0.5, 1000, {"clientOrderId": client_order_id})

    assert second["id"] != first["id"]
    assert exchange.fetch_order("", "BTC/USD", {"clientOrderId": client_order_id})["id"] == second["id"]


def test_throttling_names_the_wait(exchange, simulator):
    exchange.load_markets()
    simulator.fault("rate_limit", seconds_to_wait=7)

    with pytest.raises(ccxt.DDoSProtection):
        exchange.fetch_balance()

    assert exchange.last_response_headers["Retry-After"] == "7"


def test_its_bars_are_those_that_alpacas_clients_read(exchange, simulator):
    since = (int(time.time()) // 60 - 10) * 60
    rows = exchange.fetch_ohlcv("BTC/USD", "1m", since * 1000, 5)
    query = f"symbols=BTC/USD&timeframe=1Min&start={stamp_text(since)}&end={stamp_text(since + 240)}"
    theirs = simulator.call("GET", f"/v2/stocks/bars?{query}").json()["bars"]["BTC/USD"]

    assert [row[0] for row in rows] == [1000 * (since + 60 * place) for place in range(5)]
    assert [row[1:] for row in rows] == [[bar[name] for name in "ohlcv"] for bar in theirs]
    assert exchange.fetch_ohlcv("BTC/USD", "1m", limit=3)[-1][0] >= since * 1000 + 540_000, "the newest, over or not"
    with pytest.raises(ccxt.BadSymbol):
        exchange.public_get_klines({"symbol": "NOBODY", "interval": "1m"})
    with pytest.raises(ccxt.BadRequest):
        exchange.public_get_klines({"symbol": "BTCUSD", "interval": "1x"})


def test_its_ticker_and_its_trades_are_of_now(exchange, simulator):
    before = time.time() * 1000 - 2
    ticker, (trade,) = exchange.fetch_ticker("BTC/USD"), exchange.fetch_trades("BTC/USD", limit=1)

    assert before <= ticker["timestamp"] <= time.time() * 1000 + 2
    assert before <= trade["timestamp"] <= time.time() * 1000 + 2
    assert 0 < ticker["bid"] < ticker["ask"]
    assert trade["price"] > 0
    assert trade["amount"] == 100
