"""Binance's wire at a simulator process, where ccxt does not reach: signatures, filters, paging, ledger and stream."""

import asyncio
import hashlib
import hmac
import json
import time
from uuid import uuid4

import aiohttp
import pytest
import requests

from tests.brokers.simulator.process import KEYS
from tests.patience import PATIENCE_SECONDS

KEY, SECRET = KEYS["APCA-API-KEY-ID"], KEYS["APCA-API-SECRET-KEY"]


@pytest.fixture
def call(simulator):
    """Return a function that makes one signed call and returns status and body."""

    def run(method, path, *, secret=SECRET, key=KEY, offset_ms=0, **params):
        params = {"timestamp": int(time.time() * 1000) + offset_ms, **params}
        text = "&".join(f"{name}={value}" for name, value in params.items())
        text += f"&signature={hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()}"
        place = {"data": text} if method == "POST" else {"params": text}
        headers = {"X-MBX-APIKEY": key, "Content-Type": "application/x-www-form-urlencoded"}
        reply = requests.request(
            method, f"{simulator.url}/api/v3/{path}", headers=headers, timeout=PATIENCE_SECONDS, **place
        )
        return reply.status_code, reply.json()

    return run


@pytest.fixture
def place(call):
    def run(**params):
        terms = {"symbol": "BTCUSD", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        return call("POST", "order", **{**terms, "quantity": "0.5", "price": "1000.00", **params})

    return run


def test_what_is_public_needs_no_key(simulator):
    for path in ("ping", "time", "exchangeInfo"):
        assert requests.get(f"{simulator.url}/api/v3/{path}", timeout=PATIENCE_SECONDS).status_code == 200


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"secret": "wrong"}, (400, -1022)),
        ({"key": "wrong"}, (401, -2015)),
        ({"key": "not a key"}, (401, -2014)),
        ({"offset_ms": -6000}, (400, -1021)),
        ({"offset_ms": 3000}, (400, -1021)),
        ({"recvWindow": "70000"}, (400, -1131)),
    ],
)
def test_an_order_that_is_not_properly_signed_is_not_placed(place, simulator, options, refusal):
    name = f"t-{uuid4().hex[:20]}"

    status, body = place(newClientOrderId=name, **options)

    assert (status, body["code"]) == refusal
    assert name not in simulator.ledger.orders_by_client_order_id


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"symbol": "NOSUCH"}, -1121),
        ({"symbol": "AAPL"}, -1121),
        ({"price": "1000.005"}, -1013),
        ({"price": "1.00", "quantity": "0.5"}, -1013),
        ({"quantity": "0.123456789"}, -1111),
        ({"quantity": "-1"}, -1013),
        ({"side": "HOLD"}, -1117),
        ({"type": "ICEBERG"}, -1116),
        ({"timeInForce": "DAY"}, -1115),
        ({"timeInForce": ""}, -1102),
        ({"newClientOrderId": "x" * 37}, -1100),
        ({"quoteOrderQty": "5"}, -1106),
        ({"type": "MARKET"}, -1106),
    ],
)
def test_terms_that_fail_a_check_are_refused_by_number(place, terms, code):
    status, body = place(**terms)

    assert (status, body["code"]) == (400, code)


def test_the_ledger_names_each_submission_by_the_clients_id(place, simulator):
    name = f"t-{uuid4().hex[:20]}"
    place(newClientOrderId=name)
    place(newClientOrderId=name)

    assert simulator.ledger.posts_seen[name] == 2
    assert len(simulator.ledger.orders_by_client_order_id[name]) == 1
    assert (name, "Duplicate order sent.") in simulator.ledger.refusals


def test_trades_are_paged_by_their_number(place, call, simulator):
    _, placed = place(quantity="1")
    order = next(o for o in simulator.ledger.orders.values() if o.client_order_id == placed["clientOrderId"])
    for _ in range(5):
        simulator.force_fill(order.order_id, "0.1")
    _, trades = call("GET", "myTrades", symbol="BTCUSD", orderId=placed["orderId"])
    _, page = call("GET", "myTrades", symbol="BTCUSD", fromId=trades[2]["id"], limit=2)

    assert [trade["qty"] for trade in trades] == ["0.10000000"] * 5
    assert [trade["id"] for trade in page] == [trades[2]["id"], trades[3]["id"]]
    assert call("GET", "myTrades", symbol="ETHUSD", orderId=placed["orderId"])[1] == []


def test_an_immediate_order_that_finds_nobody_expires(place, call, eventually):
    _, placed = place(timeInForce="IOC")

    def is_expired():
        return call("GET", "order", symbol="BTCUSD", orderId=placed["orderId"])[1]["status"] == "EXPIRED"

    assert eventually(is_expired)


def test_the_stream_tells_orders_trades_and_cancels(place, call, simulator):
    async def listen():
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{simulator.url}/ws-api/v3") as socket:
            refused = await _ask(socket, SECRET + "x")
            confirmed = await _ask(socket, SECRET)
            _, placed = await asyncio.to_thread(place, newClientOrderId=f"t-{uuid4().hex[:20]}", quantity="1")
            name = placed["clientOrderId"]
            order = simulator.ledger.orders_by_client_order_id[name][0]
            await asyncio.to_thread(simulator.force_fill, order.order_id, "0.25")
            await asyncio.to_thread(call, "DELETE", "order", symbol="BTCUSD", origClientOrderId=name)
            events = [(await socket.receive_json(timeout=PATIENCE_SECONDS))["event"] for _ in range(3)]
            return refused, confirmed, placed, events

    refused, confirmed, placed, events = asyncio.run(listen())

    assert (refused["status"], refused["error"]["code"]) == (400, -1022)
    assert (confirmed["status"], confirmed["result"]) == (200, {"subscriptionId": 0})
    assert [(event["x"], event["X"]) for event in events] == [
        ("NEW", "NEW"),
        ("TRADE", "PARTIALLY_FILLED"),
        ("CANCELED", "CANCELED"),
    ]
    assert {event["i"] for event in events} == {placed["orderId"]}
    assert events[1]["t"] == call("GET", "myTrades", symbol="BTCUSD", orderId=placed["orderId"])[1][0]["id"]
    assert (events[2]["C"], events[2]["z"]) == (placed["clientOrderId"], "0.25000000")


async def _ask(socket, secret):
    params = {"apiKey": KEY, "timestamp": int(time.time() * 1000)}
    text = "&".join(f"{name}={params[name]}" for name in sorted(params))
    params["signature"] = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    await socket.send_str(json.dumps({"id": 1, "method": "userDataStream.subscribe.signature", "params": params}))
    return await socket.receive_json(timeout=PATIENCE_SECONDS)
