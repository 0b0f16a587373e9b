"""The routes of the simulated broker."""

from aiohttp import web

from brokers.simulator.binance.routes import add_binance_routes
from brokers.simulator.broker import Broker
from brokers.simulator.data_stream import serve_data
from brokers.simulator.faults import FaultKind, Operation
from brokers.simulator.gate import Handler, Route, gated
from brokers.simulator.rest import account, activities, market_data, orders
from brokers.simulator.rest.control import ControlRoutes
from brokers.simulator.rest.dialect import ALPACA
from brokers.simulator.stream import serve_stream

API_ROUTES: tuple[tuple[str, str, Route, Operation], ...] = (
    ("POST", "/v2/orders", orders.submit_order, Operation.SUBMIT),
    ("GET", "/v2/orders", orders.list_orders, Operation.QUERY),
    ("DELETE", "/v2/orders", orders.cancel_all_orders, Operation.CANCEL),
    ("GET", "/v2/orders:by_client_order_id", orders.get_order_by_client_order_id, Operation.QUERY),
    ("GET", "/v2/orders/{order_id}", orders.get_order, Operation.QUERY),
    ("PATCH", "/v2/orders/{order_id}", orders.replace_order, Operation.REPLACE),
    ("DELETE", "/v2/orders/{order_id}", orders.cancel_order, Operation.CANCEL),
    ("GET", "/v2/account", account.get_account, Operation.ACCOUNT),
    ("GET", "/v2/account/activities", activities.list_activities, Operation.ACCOUNT),
    ("GET", "/v2/account/activities/{activity_type}", activities.list_activities_of_type, Operation.ACCOUNT),
    ("GET", "/v2/positions", account.list_positions, Operation.ACCOUNT),
    ("GET", "/v2/positions/{symbol:.+}", account.get_position, Operation.ACCOUNT),
    ("GET", "/v2/clock", account.get_clock, Operation.DATA),
    ("GET", "/v2/assets", account.list_assets, Operation.DATA),
    ("GET", "/v2/assets/{symbol:.+}", account.get_asset, Operation.DATA),
    ("GET", "/v2/stocks/bars", market_data.list_bars, Operation.DATA),
    ("GET", "/v2/stocks/quotes/latest", market_data.latest_quotes, Operation.DATA),
    ("GET", "/v2/stocks/trades/latest", market_data.latest_trades, Operation.DATA),
    ("GET", "/v2/stocks/{symbol}/bars", market_data.list_bars_of_symbol, Operation.DATA),
    ("GET", "/v2/stocks/{symbol}/quotes/latest", market_data.latest_quote, Operation.DATA),
    ("GET", "/v2/stocks/{symbol}/trades/latest", market_data.latest_trade, Operation.DATA),
)
REFUSE_STREAMS = frozenset({FaultKind.REFUSE_STREAMS})


def build_app(broker: Broker) -> web.Application:
    app = web.Application(middlewares=[_plain_errors])
    for method, path, route, operation in API_ROUTES:
        app.router.add_route(method, path, gated(broker, ALPACA, route, operation))
    app.router.add_routes(ControlRoutes(broker).routes())
    add_binance_routes(app, broker)

    async def stream(request: web.Request) -> web.StreamResponse:
        refusal = broker.faults.strike(REFUSE_STREAMS, Operation.STREAM, broker.endpoint_of(request))
        if refusal is not None:
            return web.json_response({"message": "stream refused"}, status=refusal.parameters.get("status", 503))
        return await serve_stream(
            request, broker.streams, broker.render_event, broker.is_known_key, broker.endpoint_of(request)
        )

    async def data(request: web.Request) -> web.StreamResponse:
        refusal = broker.faults.strike(REFUSE_STREAMS, Operation.STREAM, broker.endpoint_of(request))
        if refusal is not None:
            return web.json_response({"message": "stream refused"}, status=refusal.parameters.get("status", 503))
        return await serve_data(request, broker.data, broker.streams, broker.is_known_key, broker.endpoint_of(request))

    app.router.add_get("/stream", stream)
    app.router.add_get("/v2/{feed:iex|sip|delayed_sip|test}", data)
    return app


@web.middleware
async def _plain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give unknown paths and methods a JSON body, as the API does."""
    try:
        return await handler(request)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
        return web.json_response({"message": "endpoint not found."}, status=error.status)
