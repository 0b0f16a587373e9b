"""/sim: fault switches, forced prices and fills, the state and the ledger. No key is asked: loopback only."""

import json
import time
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Any

from aiohttp import web

from brokers.simulator.broker import Broker
from brokers.simulator.faults import Endpoint, FaultKind, FaultRequestError, parse_fault
from brokers.simulator.orders import Status
from brokers.simulator.requests import find_instrument
from brokers.simulator.wire import cash_activity_json

CASH_TYPES = ("CSD", "CSW", "DIV", "INT", "FEE", "JNLC")
MOST_SYMBOL = 32


class ControlRoutes:
    """The control calls of one broker."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/sim/state", self.get_state),
            web.get("/sim/faults", self.list_faults),
            web.post("/sim/faults", self.add_fault),
            web.delete("/sim/faults", self.remove_all_faults),
            web.delete("/sim/faults/{fault_id}", self.remove_fault),
            web.post("/sim/price", self.put_price),
            web.post("/sim/fill", self.force_fill),
            web.post("/sim/bars", self.send_bar),
            web.post("/sim/cash", self.move_cash),
            web.get("/sim/ledger", self.get_ledger),
        ]

    async def get_state(self, _: web.Request) -> web.Response:
        broker, book = self.broker, self.broker.venue.book
        subscribers = broker.streams.subscribers
        return web.json_response(
            {
                "name": broker.settings.name,
                "uptime_seconds": round(time.monotonic() - broker.started_at, 3),
                "orders": Counter(order.status for order in book.orders),
                "fills": len(book.fills),
                "cash": str(book.account.cash),
                "positions": {symbol: str(p.quantity) for symbol, p in book.account.positions.items()},
                "prices": {symbol: str(price) for symbol, price in broker.venue.prices().items()},
                "is_open": broker.venue.is_open,
                "streams": {"connected": len(subscribers), "listening": sum(s.is_listening for s in subscribers)},
                "endpoints": {endpoint: port for port, endpoint in sorted(broker.ports.items())},
                "faults": len(broker.faults.faults),
            }
        )

    async def list_faults(self, _: web.Request) -> web.Response:
        self.broker.faults.expire()
        now = time.monotonic()
        return web.json_response([fault.summary(now) for fault in self.broker.faults.faults.values()])

    async def add_fault(self, request: web.Request) -> web.Response:
        fields = await _read_object(request)
        try:
            fault = parse_fault(fields, time.monotonic())
        except FaultRequestError as error:
            raise _unprocessable(str(error)) from error
        if fault.kind is FaultKind.DISCONNECT_STREAMS:
            fault.hits = self._cut(fault.endpoint)
            self.broker.ledger.append({"kind": "fault_on", "fault": fault.summary(time.monotonic())})
        else:
            self.broker.switch_on(fault)
        return await self._reply(fault.summary(time.monotonic()), status=201)

    def _cut(self, endpoint: Endpoint | None) -> int:
        count = self.broker.streams.disconnect_all(endpoint)
        return count if endpoint is Endpoint.BACKUP else count + self.broker.gateway.disconnect_all()

    async def remove_all_faults(self, _: web.Request) -> web.Response:
        removed = list(self.broker.faults.faults)
        for fault_id in removed:
            self.broker.faults.remove(fault_id, "removed")
        return await self._reply({"removed": len(removed)})

    async def remove_fault(self, request: web.Request) -> web.Response:
        fault = self.broker.faults.remove(request.match_info["fault_id"], "removed")
        if fault is None:
            return web.json_response({"message": "no such fault"}, status=404)
        return await self._reply(fault.summary(time.monotonic()))

    async def put_price(self, request: web.Request) -> web.Response:
        """Set a price. It stays there unless ``hold`` is false, which lets it walk on from there."""
        fields = await _read_object(request)
        instrument = find_instrument(str(fields.get("symbol", "")), self.broker.instruments)
        held = fields.get("hold", True)
        if instrument is None:
            raise _unprocessable(f"unknown symbol: {fields.get('symbol')}")
        if not isinstance(held, bool):
            raise _unprocessable("hold must be true or false")
        price = _positive(fields, "price")
        if price != price.quantize(instrument.price_increment):
            raise _unprocessable(f"price must be a multiple of {instrument.price_increment}")
        self.broker.venue.put_price(instrument.symbol, price, held=held)
        return await self._reply({"symbol": instrument.symbol, "price": str(price), "hold": held})

    async def send_bar(self, request: web.Request) -> web.Response:
        """Send listeners of market data a bar of the caller's making, unchecked; ``revision`` sends it as one."""
        fields = await _read_object(request)
        symbol, bar, revision = fields.get("symbol"), fields.get("bar"), fields.get("revision", False)
        if not isinstance(symbol, str) or not isinstance(bar, dict) or not isinstance(revision, bool):
            raise _unprocessable("symbol, bar (an object) and perhaps revision (true or false) are needed")
        told = self.broker.data.send("updatedBars" if revision else "bars", symbol, bar)
        return await self._reply({"listeners": told})

    async def force_fill(self, request: web.Request) -> web.Response:
        """Fill an order now at its limit price or the current price, whatever the market says."""
        fields = await _read_object(request)
        order = self.broker.venue.book.by_id.get(str(fields.get("order_id")))
        if order is None:
            raise _unprocessable(f"unknown order_id: {fields.get('order_id')}")
        if order.is_final or order.status is Status.PENDING_NEW or not order.active:
            raise _unprocessable(f"order is {order.status} and cannot fill")
        quantity = _positive(fields, "quantity") if "quantity" in fields else order.leaves_quantity
        if quantity > order.leaves_quantity:
            raise _unprocessable(f"only {order.leaves_quantity} is left to fill")
        price = order.limit_price or self.broker.venue.walks[order.symbol].price
        price = _positive(fields, "price") if "price" in fields else price
        self.broker.venue.fill(order, quantity, price)
        return await self._reply(self.broker.render(order))

    async def move_cash(self, request: web.Request) -> web.Response:
        """Move cash without an execution, as an activity of ``type``; one that is negative is paid."""
        fields = await _read_object(request)
        kind, symbol = fields.get("type"), fields.get("symbol", "")
        if kind not in CASH_TYPES:
            raise _unprocessable(f"type must be one of: {', '.join(CASH_TYPES)}")
        if not isinstance(symbol, str) or len(symbol) > MOST_SYMBOL:
            raise _unprocessable("symbol must be a text")
        amount = _signed(fields, "amount")
        activity = self.broker.venue.move_cash(kind, amount, symbol, str(fields.get("description", ""))[:200])
        return await self._reply(cash_activity_json(activity), status=201)

    async def get_ledger(self, _: web.Request) -> web.FileResponse:
        await self.broker.ledger.durable()
        return web.FileResponse(self.broker.ledger_path, headers={"Content-Type": "application/x-ndjson"})

    async def _reply(self, payload: Any, status: int = 200) -> web.Response:
        await self.broker.ledger.durable()
        return web.json_response(payload, status=status)


def _unprocessable(message: str) -> web.HTTPUnprocessableEntity:
    return web.HTTPUnprocessableEntity(text=json.dumps({"message": message}), content_type="application/json")


async def _read_object(request: web.Request) -> dict[str, Any]:
    try:
        fields = json.loads(await request.read())
    except ValueError as error:
        raise _unprocessable("the body is not JSON") from error
    if not isinstance(fields, dict):
        raise _unprocessable("the body is not a JSON object")
    return fields


def _signed(fields: dict[str, Any], name: str) -> Decimal:
    negative = str(fields.get(name, "")).startswith("-")
    size = _positive({name: str(fields.get(name, "")).removeprefix("-")}, name)
    return -size if negative else size


def _positive(fields: dict[str, Any], name: str) -> Decimal:
    try:
        value = Decimal(str(fields.get(name)))
    except InvalidOperation as error:
        raise _unprocessable(f"{name} must be a number above 0") from error
    if not value.is_finite() or value <= 0 or value >= 10**12:
        raise _unprocessable(f"{name} must be a number above 0")
    return value
