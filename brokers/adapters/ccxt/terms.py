"""An order in the words of ccxt's ``create_order``, refused where it could not be placed exactly as it is."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from brokers.adapters.ccxt.errors import not_sent
from brokers.adapters.errors import BrokerCallError
from brokers.core.orders import OrderTerms, OrderType, TimeInForce
from reliability.core.taxonomy import FailureKind

CLIENT_ORDER_ID_MAX = 36
_TRIGGERED = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
_LIMITED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})


@dataclass(frozen=True, slots=True)
class Placing:
    """The arguments of ``create_order``, or with ``cost`` those of ``create_market_order_with_cost``."""

    symbol: str
    type: str
    side: str
    amount: str | None
    price: str | None
    cost: str | None
    params: dict[str, str] = field(default_factory=dict)


def placing(exchange: Any, client_order_id: str, terms: OrderTerms) -> Placing:
    """Return how the order is placed.

    Raises:
        BrokerCallError: Rejected, as the exchange does not offer it or would round it to another order.
    """
    if not 0 < len(client_order_id) <= CLIENT_ORDER_ID_MAX:
        raise _invalid(f"a client order id has 1 to {CLIENT_ORDER_ID_MAX} characters")
    market = exchange.markets.get(terms.symbol)
    if market is None or not market.get("spot"):
        raise not_sent(FailureKind.REJECTED, "VALIDATION_UNKNOWN_SYMBOL", f"{terms.symbol} is no spot market here")
    offered = ((exchange.features or {}).get("spot") or {}).get("createOrder") or {}
    params = {"clientOrderId": client_order_id, **_time_in_force(terms, offered)}
    if terms.order_type in _TRIGGERED:
        if offered.get("triggerPrice") is False:
            raise _invalid("this exchange has no stop orders")
        params["triggerPrice"] = _exact(exchange.price_to_precision, terms.symbol, terms.stop_price, "stop price")
    price = None
    if terms.order_type in _LIMITED:
        price = _exact(exchange.price_to_precision, terms.symbol, terms.limit_price, "limit price")
    kind, side = "limit" if terms.order_type in _LIMITED else "market", terms.side.value
    if terms.notional is not None:
        return Placing(terms.symbol, kind, side, None, None, _cost(exchange, terms), params)
    amount = _exact(exchange.amount_to_precision, terms.symbol, terms.quantity, "quantity")
    return Placing(terms.symbol, kind, side, amount, price, None, params)


def _time_in_force(terms: OrderTerms, offered: dict[str, Any]) -> dict[str, str]:
    """Return the parameter, or none for what is the usual: a market order, or a limit order until it is canceled."""
    if terms.order_type in (OrderType.MARKET, OrderType.STOP):
        if terms.time_in_force is TimeInForce.FOK:
            raise _invalid("a market order cannot be fill-or-kill here")
        return {}
    if terms.time_in_force is TimeInForce.DAY:
        raise _invalid("this exchange has no day orders: use gtc, ioc or fok")
    if terms.time_in_force is TimeInForce.GTC:
        return {}
    name = terms.time_in_force.value.upper()
    if not (offered.get("timeInForce") or {}).get(name):
        raise _invalid(f"this exchange has no {name} orders")
    return {"timeInForce": name}


def _cost(exchange: Any, terms: OrderTerms) -> str:
    buys_by_cost = terms.side.value == "buy" and exchange.has.get("createMarketBuyOrderWithCost")
    if not (exchange.has.get("createMarketOrderWithCost") or buys_by_cost):
        raise _invalid("this exchange takes no orders by notional")
    return _plain(terms.notional)


def _exact(rounded: Any, symbol: str, value: Decimal | None, name: str) -> str:
    """Return the number as the market writes it, refusing one that the market would round."""
    text = _plain(value)
    try:
        written = str(rounded(symbol, text))
    except Exception as error:
        raise _invalid(f"the {name} {text} is not one of this market: {error}") from None
    if Decimal(written) != Decimal(text):
        raise _invalid(f"the {name} {text} has more digits than this market: the nearest is {written}")
    return written


def _plain(value: Decimal | None) -> str:
    if value is None or not value.is_finite():
        raise _invalid("a quantity or price is missing or not a number")
    return format(value, "f")


def _invalid(message: str) -> BrokerCallError:
    return not_sent(FailureKind.REJECTED, "VALIDATION_INVALID_ORDER", message)
