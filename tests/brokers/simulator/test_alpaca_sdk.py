"""The unmodified alpaca-py SDK against a simulator process, each response checked against Alpaca's OpenAPI files."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.requests import StockBarsRequest, StockLatestQuoteRequest, StockLatestTradeRequest
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, OrderStatus, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopOrderRequest,
)
from alpaca.trading.stream import TradingStream

from tests.brokers.simulator.alpaca_spec import check_response


@pytest.fixture
def client(simulator):
    client = TradingClient("test-key", "test-secret", url_override=simulator.url)
    client._session.hooks["response"].append(check_response)
    return client


@pytest.fixture
def data_client(simulator):
    client = StockHistoricalDataClient("test-key", "test-secret", url_override=simulator.url)
    client._session.hooks["response"].append(check_response)
    return client


def limit_order(price, **fields):
    terms = {"symbol": "MSFT", "qty": 3, "side": OrderSide.BUY, "time_in_force": TimeInForce.GTC, "limit_price": price}
    return LimitOrderRequest(**(terms | fields))


def market_order(symbol, quantity, side=OrderSide.BUY, **fields):
    return MarketOrderRequest(symbol=symbol, qty=quantity, side=side, time_in_force=TimeInForce.DAY, **fields)


def wait_until_filled(client, order, eventually):
    return eventually(
        lambda: (o := client.get_order_by_id(order.id)).status is OrderStatus.FILLED and o,
    )


def test_a_market_order_fills_and_shows_up_in_positions_account_and_activities(client, eventually):
    cash_before = float(client.get_account().cash)

    order = wait_until_filled(client, client.submit_order(market_order("KO", 7)), eventually)

    assert (order.qty, order.filled_qty) == ("7", "7")
    assert client.get_open_position("KO").qty == "7"
    assert [p.symbol for p in client.get_all_positions()] == ["KO"]
    assert float(client.get_account().cash) == pytest.approx(cash_before - 7 * float(order.filled_avg_price))
    fills = client.get("/account/activities/FILL", {"order_id": str(order.id)})
    assert sum(float(fill["qty"]) for fill in fills) == 7


def test_a_flat_symbol_is_404_with_alpacas_code(client):
    with pytest.raises(APIError) as refusal:
        client.get_open_position("NVDA")

    assert (refusal.value.status_code, refusal.value.code) == (404, 40410000)


def test_an_order_is_found_by_both_ids_and_in_the_lists(client):
    mine = f"sdk-{uuid4()}"
    order = client.submit_order(limit_order(1, client_order_id=mine))

    assert client.get_order_by_client_id(mine).id == order.id
    assert client.get_order_by_id(order.id, GetOrderByIdRequest(nested=True)).client_order_id == mine
    open_orders = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN, symbols=["MSFT"], limit=500))
    assert mine in [o.client_order_id for o in open_orders]
    later = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, after=order.submitted_at))
    assert mine not in [o.client_order_id for o in later]


def test_a_canceled_order_ends_canceled_and_cannot_be_canceled_again(client, eventually):
    order = client.submit_order(limit_order(1))

    client.cancel_order_by_id(order.id)
    eventually(lambda: client.get_order_by_id(order.id).status is OrderStatus.CANCELED)

    with pytest.raises(APIError) as refusal:
        client.cancel_order_by_id(order.id)
    assert (refusal.value.status_code, refusal.value.code) == (422, 42210000)
    with pytest.raises(APIError) as missing:
        client.cancel_order_by_id(uuid4())
    assert missing.value.status_code == 404


def test_cancelling_all_answers_for_each_open_order(client, eventually):
    orders = {client.submit_order(limit_order(1)).id for _ in range(3)}

    answers = client.cancel_orders()

    assert orders <= {answer.id for answer in answers}
    eventually(lambda: not client.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN)))


def test_a_replaced_order_gives_a_new_one_linked_both_ways(client, eventually):
    old = client.submit_order(limit_order(1))

    new = client.replace_order_by_id(old.id, ReplaceOrderRequest(qty=5, limit_price=2))

    assert (new.replaces, new.qty, new.limit_price) == (old.id, "5", "2")
    replaced = eventually(lambda: (o := client.get_order_by_id(old.id)).status is OrderStatus.REPLACED and o)
    assert replaced.replaced_by == new.id
    assert client.get_order_by_id(new.id).status is OrderStatus.NEW


@pytest.mark.parametrize(
    ("request_", "status", "code", "message"),
    [
        (market_order("NOSUCH", 1), 422, 42210000, 'asset "NOSUCH" not found'),
        (market_order("AAPL", 10**8), 403, 40310000, "insufficient buying power"),
        (market_order("AMD", 1, OrderSide.SELL), 403, 40310000, "insufficient qty available"),
        (market_order("AAPL", 0), 422, 40010001, "qty must be > 0"),
        (market_order("AAPL", -3), 422, 40010001, "qty must be > 0"),
        (limit_order(1, qty=0.5), 422, 42210000, "fractional orders must be DAY orders"),
    ],
)
def test_refusals_carry_alpacas_status_code_and_message(client, request_, status, code, message):
    with pytest.raises(APIError) as refusal:
        client.submit_order(request_)

    assert (refusal.value.status_code, refusal.value.code) == (status, code)
    assert message in refusal.value.message


def test_a_client_order_id_works_once_even_after_the_order_ended(client, eventually):
    request = market_order("AAPL", 1, client_order_id=f"once-{uuid4()}")
    wait_until_filled(client, client.submit_order(request), eventually)

    with pytest.raises(APIError) as refusal:
        client.submit_order(request)

    assert (refusal.value.status_code, refusal.value.code) == (422, 40010001)
    assert refusal.value.message == "client_order_id must be unique"


def test_stop_orders_wait_for_their_price(client, simulator, eventually):
    simulator.put_price("JPM", "200")
    terms = {"symbol": "JPM", "qty": 1, "side": OrderSide.BUY, "time_in_force": TimeInForce.DAY, "stop_price": 210}
    stop = client.submit_order(StopOrderRequest(**terms))
    stop_limit = client.submit_order(StopLimitOrderRequest(**terms, limit_price=205))

    simulator.put_price("JPM", "211")
    wait_until_filled(client, stop, eventually)
    assert client.get_order_by_id(stop_limit.id).filled_qty == "0"

    simulator.put_price("JPM", "204")
    wait_until_filled(client, stop_limit, eventually)


def test_a_notional_order_buys_for_about_that_much(client, eventually):
    request = MarketOrderRequest(symbol="SPY", notional=1000, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)

    order = wait_until_filled(client, client.submit_order(request), eventually)

    assert (order.qty, order.notional) == (None, "1000")
    assert float(order.filled_qty) * float(order.filled_avg_price) == pytest.approx(1000, rel=0.01)


def test_crypto_trades_in_fractions(client, eventually):
    request = MarketOrderRequest(symbol="BTC/USD", qty=0.015, side=OrderSide.BUY, time_in_force=TimeInForce.GTC)

    order = wait_until_filled(client, client.submit_order(request), eventually)

    assert order.filled_qty == "0.015"
    assert client.get_open_position("BTCUSD").qty == "0.015"


def test_clock_and_assets(client):
    assert client.get_clock().is_open
    assets = {asset.symbol for asset in client.get_all_assets()}
    assert {"AAPL", "MSFT", "TSLA", "BTC/USD", "ETH/USD"} <= assets
    assert len(assets) >= 12
    assert client.get_asset("AAPL").fractionable


def test_activities_page_through_every_fill_once(client, eventually):
    for _ in range(5):
        wait_until_filled(client, client.submit_order(market_order("AMZN", 2)), eventually)
    everything = client.get("/account/activities/FILL", {"direction": "asc"})

    seen, token = [], None
    while page := client.get(
        "/account/activities/FILL", {"direction": "asc", "page_size": 2} | ({"page_token": token} if token else {})
    ):
        seen += page
        token = page[-1]["id"]

    assert seen == everything
    assert [fill["id"] for fill in seen] == sorted(fill["id"] for fill in seen)
    newest_first = client.get("/account/activities", {"activity_types": "FILL"})
    assert newest_first == everything[::-1]
    assert client.get("/account/activities/FILL", {"after": everything[-1]["transaction_time"]}) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v2/orders", "x", 400),
        ("POST", "/v2/orders", "[]", 400),
        ("POST", "/v2/orders", '{"symbol": "AAPL", "qty": "NaN", "side": "buy", "type": "market"}', 422),
        ("POST", "/v2/orders", '{"symbol": ["AAPL"], "qty": {}, "side": []}', 422),
        ("GET", "/v2/orders?limit=501", None, 422),
        ("GET", "/v2/orders?status=everything", None, 422),
        ("GET", "/v2/orders?after=2026-99", None, 422),
        ("GET", "/v2/account/activities/FILL?date=9999-12-31", None, 422),
        ("GET", "/v2/account/activities/FILL?page_size=101", None, 422),
        ("GET", "/v2/stocks/bars?symbols=AAPL&timeframe=1Eon", None, 400),
        ("GET", "/v2/stocks/bars?symbols=AAPL&page_token=nonsense", None, 400),
        ("GET", "/v2/stocks/bars?symbols=NOSUCH", None, 400),
        ("GET", "/v2/orders:by_client_order_id", None, 422),
        ("GET", "/v2/nowhere", None, 404),
        ("PUT", "/v2/account", None, 405),
    ],
)
def test_bad_requests_are_answered_with_a_message(simulator, method, path, body, status):
    answer = simulator.call(method, path, data=body)

    assert answer.status_code == status
    assert answer.json()["message"]


def test_wrong_keys_are_forbidden(simulator):
    client = TradingClient("wrong", "keys", url_override=simulator.url)

    with pytest.raises(APIError) as refusal:
        client.get_account()

    assert refusal.value.status_code == 403
    assert '"forbidden."' in str(refusal.value)


def test_bars_are_the_same_each_time_and_arrive_in_pages(data_client, simulator):
    start = datetime(2026, 1, 5, 10, tzinfo=UTC)
    request = StockBarsRequest(
        symbol_or_symbols=["AAPL", "MSFT"],
        timeframe=TimeFrame.Minute,
        start=start,
        end=start + timedelta(minutes=9),
    )

    bars = data_client.get_stock_bars(request).data

    assert [bar.timestamp for bar in bars["AAPL"]] == [start + timedelta(minutes=n) for n in range(10)]
    assert data_client.get_stock_bars(request).data == bars
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars["MSFT"])
    path = "/v2/stocks/bars?symbols=MSFT,AAPL&timeframe=1Min&start=2026-01-05T10:00:00Z&end=2026-01-05T10:09:00Z"
    pages, token = [], ""
    while token is not None:
        page = check_response(simulator.call("GET", f"{path}&limit=7&page_token={token}")).json()
        pages.append(page["bars"])
        token = page["next_page_token"]
    assert [sum(map(len, page.values())) for page in pages] == [7, 7, 6]


def test_latest_quote_and_trade_follow_the_price(data_client, simulator):
    simulator.put_price("META", "500.25")

    quote = data_client.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="META"))["META"]
    trade = data_client.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="META"))["META"]

    assert (quote.bid_price, quote.ask_price, trade.price) == (500.25, 500.26, 500.25)
    assert check_response(simulator.call("GET", "/v2/stocks/META/quotes/latest")).json()["symbol"] == "META"
    assert check_response(simulator.call("GET", "/v2/stocks/META/trades/latest")).json()["symbol"] == "META"
    assert check_response(simulator.call("GET", "/v2/stocks/META/bars?timeframe=1Day")).json()["symbol"] == "META"


def test_the_sdk_stream_hears_an_order_from_new_to_filled(client, simulator, eventually):
    stream = TradingStream("test-key", "test-secret", url_override=simulator.url.replace("http", "ws") + "/stream")
    heard = []

    async def hear(update):
        heard.append(update)

    stream.subscribe_trade_updates(hear)
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    eventually(lambda: simulator.call("GET", "/sim/state").json()["streams"]["listening"])

    order = client.submit_order(market_order("GOOGL", 50))
    eventually(lambda: heard and heard[-1].event == "fill")
    asyncio.run_coroutine_threadsafe(stream.stop_ws(), stream._loop)

    assert heard[0].event == "new"
    fills = [update for update in heard if update.execution_id]
    assert sum(update.qty for update in fills) == 50
    assert fills[-1].position_qty == 50
    assert fills[-1].order.status is OrderStatus.FILLED
    recorded = client.get("/account/activities/FILL", {"order_id": str(order.id), "direction": "asc"})
    assert [fill["id"].split("::")[1] for fill in recorded] == [str(update.execution_id) for update in fills]
