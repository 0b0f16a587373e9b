"""The simulated broker's state in the words of Binance's spot API.

Source:
    "Trading endpoints", "Account endpoints" and "General endpoints", Binance Spot API documentation.
"""

from datetime import datetime
from decimal import Decimal

from brokers.simulator.binance.requests import QUANTITY_STEP, assets_of
from brokers.simulator.instruments import Instrument
from brokers.simulator.orders import Fill, Order, OrderType, Side, Status, TimeInForce
from brokers.simulator.wire import Json

PLACES = 8
MIN_NOTIONAL = Decimal(1)
LARGEST_QUANTITY = Decimal(9_000_000)
STATUSES = {
    Status.ACCEPTED: "NEW",
    Status.PENDING_NEW: "NEW",
    Status.NEW: "NEW",
    Status.PARTIALLY_FILLED: "PARTIALLY_FILLED",
    Status.PENDING_CANCEL: "PENDING_CANCEL",
    Status.PENDING_REPLACE: "PENDING_CANCEL",
    Status.FILLED: "FILLED",
    Status.CANCELED: "CANCELED",
    Status.EXPIRED: "EXPIRED",
    Status.REPLACED: "CANCELED",
    Status.REJECTED: "REJECTED",
}
TYPES = {
    OrderType.MARKET: "MARKET",
    OrderType.LIMIT: "LIMIT",
    OrderType.STOP: "STOP_LOSS",
    OrderType.STOP_LIMIT: "STOP_LOSS_LIMIT",
}
_IMMEDIATE = frozenset({TimeInForce.IOC, TimeInForce.FOK})


def number(value: Decimal | None) -> str:
    """Return a number with at least eight decimal places, and never fewer than it has."""
    value = value or Decimal(0)
    return f"{value:.{max(PLACES, -int(value.as_tuple().exponent))}f}"


def milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def order_id(order: Order) -> int:
    """Return Binance's number of an order; they count from 1 over all symbols."""
    return order.sequence + 1


def status_of(order: Order) -> str:
    """Return the status; what an immediate order leaves unfilled expires at Binance, it is not canceled."""
    if order.status is Status.CANCELED and order.time_in_force in _IMMEDIATE:
        return "EXPIRED"
    return STATUSES[order.status]


def time_in_force_of(order: Order) -> str:
    return "GTC" if order.time_in_force is TimeInForce.DAY else order.time_in_force.upper()


def symbol_of(symbol: str) -> str:
    return symbol.replace("/", "")


def _terms(order: Order) -> Json:
    return {
        "symbol": symbol_of(order.symbol),
        "orderId": order_id(order),
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        "price": number(order.limit_price),
        "origQty": number(order.quantity),
        "executedQty": number(order.filled_quantity),
        "origQuoteOrderQty": number(order.notional),
        "cummulativeQuoteQty": number(order.filled_value),
        "status": status_of(order),
        "timeInForce": time_in_force_of(order),
        "type": TYPES[order.type],
        "side": order.side.upper(),
        "selfTradePreventionMode": "NONE",
    }


def order_json(order: Order) -> Json:
    """Return an order as a query tells it."""
    submitted = milliseconds(order.submitted_at)
    times = {"time": submitted, "updateTime": milliseconds(order.updated_at), "workingTime": submitted}
    return (
        _terms(order) | times | {"stopPrice": number(order.stop_price), "icebergQty": number(None), "isWorking": True}
    )


def placed_json(order: Order, kind: str, fills: list[Fill]) -> Json:
    """Return the reply to a new order: ``ACK``, ``RESULT`` or ``FULL``."""
    placed = milliseconds(order.submitted_at)
    if kind == "ACK":
        names = ("symbol", "orderId", "orderListId", "clientOrderId")
        return {**{name: _terms(order)[name] for name in names}, "transactTime": placed}
    result = _terms(order) | {"transactTime": placed, "workingTime": placed}
    return result | {"fills": [_fill_json(fill) for fill in fills]} if kind == "FULL" else result


def canceled_json(order: Order, cancel_id: str) -> Json:
    """Return the reply to a cancel: the order's own id moves to ``origClientOrderId``."""
    ids = {"origClientOrderId": order.client_order_id, "clientOrderId": cancel_id}
    return _terms(order) | ids | {"transactTime": milliseconds(order.updated_at)}


def _fill_json(fill: Fill) -> Json:
    return {"price": number(fill.price), "qty": number(fill.quantity), **_commission(fill)}


def _commission(fill: Fill) -> Json:
    asset = fill.fee_asset or fill.symbol.partition("/")[2]
    return {"commission": number(fill.told_fee), "commissionAsset": asset}


def trade_json(fill: Fill, trade_id: int, order_number: int) -> Json:
    return {
        "symbol": symbol_of(fill.symbol),
        "id": trade_id,
        "orderId": order_number,
        "orderListId": -1,
        "price": number(fill.price),
        "qty": number(fill.quantity),
        "quoteQty": number(fill.price * fill.quantity),
        **_commission(fill),
        "time": milliseconds(fill.at),
        "isBuyer": fill.side is Side.BUY,
        "isMaker": False,
        "isBestMatch": True,
    }


def instrument_json(instrument: Instrument) -> Json:
    base, quote = assets_of(instrument)
    step, tick = number(QUANTITY_STEP), number(instrument.price_increment)
    largest = number(LARGEST_QUANTITY)
    precisions = ("baseAssetPrecision", "quotePrecision", "quoteAssetPrecision")
    return {
        "symbol": symbol_of(instrument.symbol),
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": quote,
        **dict.fromkeys((*precisions, "baseCommissionPrecision", "quoteCommissionPrecision"), PLACES),
        "orderTypes": list(TYPES.values()),
        "icebergAllowed": False,
        "ocoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": number(Decimal(1_000_000)), "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": largest, "stepSize": step},
            {"filterType": "NOTIONAL", "minNotional": number(MIN_NOTIONAL), "applyMinToMarket": True},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }
