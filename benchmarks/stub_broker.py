"""A broker that answers as fast as it can: the part of Alpaca's wire that submitting and comparing orders needs.

``python -m benchmarks.stub_broker PORT [LATENCY_MS]`` listens on 127.0.0.1. It takes every order it is
sent, also a repeated one, and keeps count, so that it can serve as the ledger of a loss run.

Beside Alpaca's paths: ``/stats`` -> {"n": posts, "dupes": posts whose client order id was known,
"longest_pause_seconds": between two posts};
``/ledger`` -> {quantity: posts}; ``/latency/<ms>`` sets how long an order's answer takes.
"""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any, cast
from urllib.parse import parse_qs

import uvloop

from benchmarks.stub_stream import OrderStream, accept

MAX_BODY = 1 << 20
_REASONS = {200: b"OK", 400: b"Bad Request", 404: b"Not Found", 422: b"Unprocessable Entity"}
_NULLS = (
    *("filled_at", "expired_at", "canceled_at", "failed_at", "replaced_at", "replaced_by", "replaces"),
    *("notional", "filled_avg_price", "stop_price", "legs", "trail_percent", "trail_price", "hwm", "subtag", "source"),
)
_COMMON = json.dumps(
    {
        "asset_id": "b0b6dd9d-8b9b-48a9-ba46-b9d54906e415",
        "asset_class": "us_equity",
        "filled_qty": "0",
        "status": "accepted",
        "extended_hours": False,
        **dict.fromkeys(_NULLS),
    }
).encode()
_HEAD = b"HTTP/1.1 %d %s\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: %d\r\n\r\n"

Answer = tuple[int, bytes]


class Venue:
    """What the broker knows: its orders by client order id, and how often each was posted."""

    def __init__(self, latency_ms: float) -> None:
        self.latency_seconds = latency_ms / 1000
        self.orders: dict[str, bytes] = {}
        self.by_id: dict[str, bytes] = {}
        self.ledger: dict[str, int] = {}
        self.listeners: set[OrderStream] = set()
        self.posts = 0
        self.duplicates = 0
        self.last_post = self.longest_pause = 0.0

    def take(self, body: bytes) -> Answer:
        """Accept one order. The order counts from now on, whenever the answer leaves."""
        try:
            asked = json.loads(body)
            client_order_id, quantity = asked["client_order_id"], f"{Decimal(str(asked['qty'])).normalize():f}"
        except (ValueError, ArithmeticError, KeyError, TypeError):
            return 422, b'{"code":40010001,"message":"client_order_id and qty are required"}'
        self._note_pause(time.monotonic())
        self.posts += 1
        self.ledger[quantity] = self.ledger.get(quantity, 0) + 1
        self.duplicates += client_order_id in self.orders
        broker_order_id = f"5eb0c9d4-0000-4000-8000-{self.posts:012x}"
        answer = order_answer(broker_order_id, asked)
        self.orders[client_order_id] = self.by_id[broker_order_id] = answer
        for listener in self.listeners:
            listener.tell_new(answer, _now())
        return 200, answer

    def _note_pause(self, now: float) -> None:
        if self.posts:
            self.longest_pause = max(self.longest_pause, now - self.last_post)
        self.last_post = now

    def find(self, query: str) -> Answer:
        wanted = parse_qs(query).get("client_order_id", [""])[0]
        return _found(self.orders.get(wanted))

    def page(self, query: str) -> Answer:
        """Return a page of the open orders, which all are, oldest first; their ids rise with their age."""
        asked = parse_qs(query)
        after, limit = asked.get("after_order_id", [""])[0], int(asked.get("limit", ["50"])[0])
        later = (order for broker_order_id, order in self.by_id.items() if broker_order_id > after)
        return 200, b"[" + b",".join(islice(later, limit)) + b"]"

    def get(self, broker_order_id: str) -> Answer:
        return _found(self.by_id.get(broker_order_id))

    def set_latency(self, text: str) -> Answer:
        try:
            self.latency_seconds = float(text) / 1000
        except ValueError:
            return 400, b'{"message":"latency is a number of milliseconds"}'
        return 200, b"{}"


def _found(order: bytes | None) -> Answer:
    return (200, order) if order is not None else (404, b'{"code":40410000,"message":"order not found"}')


def order_answer(broker_order_id: str, asked: dict[str, Any]) -> bytes:
    """Return an order as Alpaca describes it after accepting it: what this order says, then what all say alike."""
    now = _now()
    kind = asked.get("type", "market")
    own = {
        "id": broker_order_id,
        "client_order_id": asked["client_order_id"],
        "created_at": now,
        "updated_at": now,
        "submitted_at": now,
        "expires_at": now,
        "symbol": asked.get("symbol"),
        "qty": str(asked["qty"]),
        "order_class": asked.get("order_class", ""),
        "order_type": kind,
        "type": kind,
        "side": asked.get("side"),
        "position_intent": "buy_to_open" if asked.get("side") == "buy" else "sell_to_close",
        "time_in_force": asked.get("time_in_force", "day"),
        "limit_price": asked.get("limit_price"),
    }
    return json.dumps(own)[:-1].encode() + b", " + _COMMON[1:]


def account_json() -> dict[str, Any]:
    amounts = (
        *("cash", "equity", "last_equity", "portfolio_value"),
        *("buying_power", "regt_buying_power", "daytrading_buying_power", "non_marginable_buying_power"),
    )
    return {
        "id": "5eb0c9d4-0000-4000-8000-0000000000aa",
        "account_number": "BENCH0001",
        "status": "ACTIVE",
        "currency": "USD",
        "multiplier": "1",
        "pattern_day_trader": False,
        "trading_blocked": False,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": False,
        "shorting_enabled": True,
        "long_market_value": "0",
        "short_market_value": "0",
        "initial_margin": "0",
        "maintenance_margin": "0",
        "created_at": "2024-01-02T14:30:00Z",
        **dict.fromkeys(amounts, "1000000000"),
    }


def clock_json() -> dict[str, Any]:
    return {
        "timestamp": _now(),
        "is_open": True,
        "next_open": "2099-01-02T14:30:00Z",
        "next_close": "2099-01-02T21:00:00Z",
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Connection(asyncio.Protocol):
    """One kept-alive connection. Answers leave in the order of the requests, also when these are pipelined."""

    transport: asyncio.Transport

    def __init__(self, venue: Venue, loop: asyncio.AbstractEventLoop) -> None:
        self.venue = venue
        self.loop = loop
        self.buffer = b""
        self.waiting = 0
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            length = _content_length(head)
            if length < 0 or length > MAX_BODY:
                self.transport.close()
                return
            if len(self.buffer) < end + 4 + length:
                return
            body = self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            self._serve(head, body)

    def _serve(self, head: bytes, body: bytes) -> None:
        line, *headers = head.split(b"\r\n")
        method, target, *_ = [*line.decode("latin-1").split(" "), "", ""]
        path, _, query = target.partition("?")
        if path == "/stream":
            self._become_stream(headers)
            return
        is_order = method == "POST" and path == "/v2/orders"
        status, answer = self.venue.take(body) if is_order else route(self.venue, method, path, query)
        wire = _HEAD % (status, _REASONS[status], len(answer)) + answer
        last = any(header.lower().replace(b" ", b"") == b"connection:close" for header in headers)
        delay = self.venue.latency_seconds if path.startswith("/v2/") else 0.0
        if delay <= 0 and not self.waiting:
            self._write(wire, last)
            return
        self.due = max(self.due, self.loop.time() + delay)  # never before the answer ahead of it
        self.waiting += 1
        self.loop.call_at(self.due, self._write_later, wire, last)

    def _become_stream(self, headers: list[bytes]) -> None:
        named = (header.partition(b":") for header in headers)
        key = next((value.strip() for name, _, value in named if name.lower() == b"sec-websocket-key"), b"")
        self.transport.write(accept(key))
        self.transport.set_protocol(OrderStream(self.transport, self.venue.listeners))

    def _write_later(self, wire: bytes, last: bool) -> None:
        self.waiting -= 1
        self._write(wire, last)

    def _write(self, wire: bytes, last: bool) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(wire)
        if last:
            self.transport.close()


def route(venue: Venue, method: str, path: str, query: str) -> Answer:
    if path == "/stats":
        stats = {"n": venue.posts, "dupes": venue.duplicates, "longest_pause_seconds": round(venue.longest_pause, 3)}
        return 200, json.dumps(stats).encode()
    if path == "/ledger":
        return 200, json.dumps(venue.ledger).encode()
    if path.startswith("/latency/"):
        return venue.set_latency(path.removeprefix("/latency/"))
    if method != "GET":
        return 404, b'{"message":"endpoint not found"}'
    if path == "/v2/orders:by_client_order_id":
        return venue.find(query)
    if path == "/v2/account":
        return 200, json.dumps(account_json()).encode()
    if path == "/v2/clock":
        return 200, json.dumps(clock_json()).encode()
    if path.startswith("/v2/orders/"):
        return venue.get(path.removeprefix("/v2/orders/"))
    if path == "/v2/orders":
        return venue.page(query)
    if path in {"/v2/positions", "/v2/assets"} or path.startswith("/v2/account/activities"):
        return 200, b"[]"
    return 404, b'{"message":"endpoint not found"}'


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value) if value.strip().isdigit() else -1
    return 0


async def serve(port: int, latency_ms: float) -> None:
    venue, loop = Venue(latency_ms), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(venue, loop), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))
