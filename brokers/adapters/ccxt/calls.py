"""The questions that ccxt's unified calls do not reach alike: by exchange, what is asked and how far it reaches."""

from collections.abc import Collection, Mapping
from typing import Any

from brokers.adapters.ccxt.errors import ParseError
from brokers.adapters.ccxt.fills import EVERY_SYMBOL, Place, TradePage, place_of
from brokers.adapters.ccxt.parsing import parse_trade
from brokers.adapters.ccxt.profiles import Dialect, ExchangeProfile
from brokers.adapters.ccxt.terms import Placing

BINANCE_PAGE = 1000
ALPACA_ORDERS_PAGE = 500
ALPACA_FILLS_PAGE = 100
_ALPACA_API = ["trader", "private"]


class ExchangeCalls:
    """One exchange's calls; each returns ccxt's unified structures or reports."""

    def __init__(self, exchange: Any, profile: ExchangeProfile) -> None:
        self.exchange = exchange
        self.profile = profile

    async def create_order(self, placing: Placing) -> Any:
        if placing.cost is not None:
            create = self.exchange.create_market_order_with_cost
            if not self.exchange.has.get("createMarketOrderWithCost"):
                create = self.exchange.create_market_buy_order_with_cost
                return await create(placing.symbol, placing.cost, placing.params)
            return await create(placing.symbol, placing.side, placing.cost, placing.params)
        return await self.exchange.create_order(
            placing.symbol, placing.type, placing.side, placing.amount, placing.price, placing.params
        )

    async def cancel_order(self, order_id: str, symbol: str) -> Any:
        return await self.exchange.cancel_order(order_id, symbol)

    async def replace_order(self, order_id: str, symbol: str, placing: Placing) -> Any:
        """Put an order in the place of another one; the parameters of the exchange's own editing differ."""
        return await self.exchange.edit_order(
            order_id, symbol, placing.type, placing.side, placing.amount, placing.price, self.editing(placing.params)
        )

    def editing(self, params: dict[str, str]) -> dict[str, str]:
        return params

    async def fetch_order(self, order_id: str, symbol: str) -> Any:
        return await self.exchange.fetch_order(order_id, symbol)

    async def find_order(self, client_order_id: str, symbol: str) -> Any:
        """Return the order of that id in one symbol; what ccxt raises otherwise says whether it is firmly absent."""
        return await self.exchange.fetch_order("", symbol, {"clientOrderId": client_order_id})

    async def fetch_open_orders(self, symbols: Collection[str]) -> list[Any]:
        """Return every open order, of the given symbols where the exchange lists them per symbol only."""
        limit = self._feature("fetchOpenOrders", "limit")
        asked = sorted(symbols) if self._feature("fetchOpenOrders", "symbolRequired") else [None]
        rows: list[Any] = []
        for symbol in asked:
            page = _as_list(await self.exchange.fetch_open_orders(symbol))
            if limit and len(page) >= int(limit):
                raise ParseError(f"{limit} open orders fill the list, so it may not be complete")
            rows += page
        return rows

    @property
    def lists_trades_per_symbol(self) -> bool:
        return self._feature("fetchMyTrades", "symbolRequired") is not False

    async def fetch_trades(self, key: str, place: Place | None) -> TradePage:
        """Return one page of executions from a place on; those at the very place may be among them."""
        symbol = None if key == EVERY_SYMBOL else key
        limit = self._feature("fetchMyTrades", "limit")
        rows = _as_list(await self.exchange.fetch_my_trades(symbol, place[0] if place else None, limit))
        return _page(rows, limit)

    async def fetch_balance(self) -> Any:
        return await self.exchange.fetch_balance()

    def _feature(self, call: str, name: str) -> Any:
        spot = (self.exchange.features or {}).get("spot") or {}
        return (spot.get(call) or {}).get(name)


class BinanceCalls(ExchangeCalls):
    """Binance numbers the trades of a symbol without gaps in order, so they are read by number.

    It replaces by a cancel and a new order in one request, the new one only if the cancel succeeded.
    """

    def editing(self, params: dict[str, str]) -> dict[str, str]:
        return {"stopPrice" if name == "triggerPrice" else name: value for name, value in params.items()}

    async def fetch_trades(self, key: str, place: Place | None) -> TradePage:
        start = int(place[2]) + 1 if place and place[2].isdigit() else 0
        rows = _as_list(await self.exchange.fetch_my_trades(key, None, BINANCE_PAGE, {"fromId": start}))
        return _page(rows, BINANCE_PAGE)


class AlpacaCalls(ExchangeCalls):
    """What ccxt leaves out of Alpaca: looking up by client order id, paging, and what is held."""

    def editing(self, params: dict[str, str]) -> dict[str, str]:
        return {"timeInForce": "gtc", **params, **_lowered(params, "timeInForce")}

    async def find_order(self, client_order_id: str, symbol: str) -> Any:
        path, query = "v2/orders:by_client_order_id", {"client_order_id": client_order_id}
        return self.exchange.parse_order(await self.exchange.request(path, _ALPACA_API, "GET", query))

    async def fetch_open_orders(self, symbols: Collection[str]) -> list[Any]:
        query: dict[str, Any] = {"status": "open", "direction": "asc", "limit": ALPACA_ORDERS_PAGE}
        rows: list[Any] = []
        while True:
            page = _as_list(await self.exchange.request("v2/orders", _ALPACA_API, "GET", query))
            rows += page
            if len(page) < ALPACA_ORDERS_PAGE:
                return [self.exchange.parse_order(row) for row in rows]
            query["after_order_id"] = _id_of(page[-1])

    @property
    def lists_trades_per_symbol(self) -> bool:
        return False

    async def fetch_trades(self, key: str, place: Place | None) -> TradePage:
        query: dict[str, Any] = {"direction": "asc", "page_size": ALPACA_FILLS_PAGE}
        if place is not None:
            query["page_token"] = place[2]
        rows = _as_list(await self.exchange.request("v2/account/activities/FILL", _ALPACA_API, "GET", query))
        return _page([self.exchange.parse_trade(row) for row in rows], ALPACA_FILLS_PAGE)

    async def fetch_balance(self) -> Any:
        """Return cash and what is held in one balance; ccxt's own knows the cash alone."""
        account = await self.exchange.request("v2/account", _ALPACA_API, "GET", {})
        positions = _as_list(await self.exchange.request("v2/positions", _ALPACA_API, "GET", {}))
        currency, cash = account.get("currency"), account.get("cash")
        balance: dict[str, Any] = {"info": account, currency: {"free": account.get("buying_power"), "total": cash}}
        for row in positions:
            base = str(row.get("symbol")).partition("/")[0]
            balance[base] = {"free": row.get("qty_available"), "total": row.get("qty")}
        totals = {code: row["total"] for code, row in balance.items() if code != "info"}
        return {**balance, "total": totals}


_CALLS: Mapping[Dialect, type[ExchangeCalls]] = {
    Dialect.GENERIC: ExchangeCalls,
    Dialect.BINANCE: BinanceCalls,
    Dialect.ALPACA: AlpacaCalls,
}


def calls_of(exchange: Any, profile: ExchangeProfile) -> ExchangeCalls:
    return _CALLS[profile.dialect](exchange, profile)


def _lowered(params: dict[str, str], name: str) -> dict[str, str]:
    return {name: params[name].lower()} if name in params else {}


def _page(rows: list[Any], limit: Any) -> TradePage:
    fills = sorted((parse_trade(row) for row in rows), key=place_of)
    return TradePage(tuple(fills), is_last=not limit or len(rows) < int(limit))


def _as_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ParseError(f"expected a list, got {type(value).__name__}")
    return value


def _id_of(row: Any) -> str:
    identity = row.get("id") if isinstance(row, Mapping) else None
    if not isinstance(identity, str) or not identity:
        raise ParseError("an order without an id")
    return identity
