"""The paths of Binance's spot API at the simulated broker."""

from aiohttp import web

from brokers.simulator.binance import account, market_data, orders
from brokers.simulator.binance.dialect import PRIVATE, PUBLIC
from brokers.simulator.binance.stream import serve_user_data
from brokers.simulator.broker import Broker
from brokers.simulator.faults import FaultKind, Operation
from brokers.simulator.gate import Dialect, Route, gated

BINANCE_ROUTES: tuple[tuple[str, str, Dialect, Route, Operation], ...] = (
    ("GET", "/api/v3/ping", PUBLIC, account.ping, Operation.DATA),
    ("GET", "/api/v3/time", PUBLIC, account.get_time, Operation.DATA),
    ("GET", "/api/v3/exchangeInfo", PUBLIC, account.get_exchange_info, Operation.DATA),
    ("GET", "/api/v3/klines", PUBLIC, market_data.list_klines, Operation.DATA),
    ("GET", "/api/v3/ticker/24hr", PUBLIC, market_data.get_ticker, Operation.DATA),
    ("GET", "/api/v3/aggTrades", PUBLIC, market_data.list_trades, Operation.DATA),
    ("POST", "/api/v3/order", PRIVATE, orders.submit_order, Operation.SUBMIT),
    ("GET", "/api/v3/order", PRIVATE, orders.get_order, Operation.QUERY),
    ("DELETE", "/api/v3/order", PRIVATE, orders.cancel_order, Operation.CANCEL),
    ("POST", "/api/v3/order/cancelReplace", PRIVATE, orders.replace_order, Operation.REPLACE),
    ("GET", "/api/v3/openOrders", PRIVATE, orders.list_open_orders, Operation.QUERY),
    ("DELETE", "/api/v3/openOrders", PRIVATE, orders.cancel_open_orders, Operation.CANCEL),
    ("GET", "/api/v3/allOrders", PRIVATE, orders.list_orders, Operation.QUERY),
    ("GET", "/api/v3/myTrades", PRIVATE, account.list_trades, Operation.ACCOUNT),
    ("GET", "/api/v3/account", PRIVATE, account.get_account, Operation.ACCOUNT),
)
REFUSE_STREAMS = frozenset({FaultKind.REFUSE_STREAMS})


def add_binance_routes(app: web.Application, broker: Broker) -> None:
    """Offer the broker's account in Binance's words, on the same port."""
    for method, path, dialect, route, operation in BINANCE_ROUTES:
        app.router.add_route(method, path, gated(broker, dialect, route, operation))

    async def stream(request: web.Request) -> web.StreamResponse:
        refusal = broker.faults.strike(REFUSE_STREAMS, Operation.STREAM, broker.endpoint_of(request))
        if refusal is not None:
            return web.json_response({"msg": "stream refused"}, status=refusal.parameters.get("status", 503))
        return await serve_user_data(request, broker)

    app.router.add_get("/ws-api/v3", stream)
