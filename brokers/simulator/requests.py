"""Read an order request as the wire sends it, refusing what Alpaca would refuse and in its words."""

import json
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, TypeVar

from brokers.simulator.instruments import Instrument
from brokers.simulator.orders import LIMIT_TYPES, STOP_TYPES, OrderClass, OrderType, Side, TimeInForce

MALFORMED = 40010001
UNPROCESSABLE = 42210000
FORBIDDEN = 40310000
NOT_FOUND = 40410000
LONGEST_CLIENT_ORDER_ID = 128
LARGEST = Decimal(10**12)
QUANTITY_STEP = Decimal("0.000000001")
Choice = TypeVar("Choice", bound=StrEnum)
POSITION_INTENTS = frozenset({"buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close"})


class RefusalError(Exception):
    """The broker says no. Carries the HTTP status and the body fields of the answer."""

    def __init__(self, status: int, code: int | None, message: str, extras: dict[str, Any] | None = None) -> None:
        super().__init__(status, code, message, extras)
        self.status = status
        self.code = code
        self.message = message
        self.extras = extras or {}

    @property
    def body(self) -> dict[str, Any]:
        code = {} if self.code is None else {"code": self.code}
        return {**code, "message": self.message, **self.extras}


@dataclass(frozen=True, slots=True)
class OrderTerms:
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal | None
    notional: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    extended_hours: bool
    position_intent: str | None
    client_order_id: str | None
    order_class: OrderClass = OrderClass.SIMPLE
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    stop_loss_limit: Decimal | None = None
    take_profit_name: str | None = None
    stop_loss_name: str | None = None


@dataclass(frozen=True, slots=True)
class ReplaceTerms:
    quantity: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    time_in_force: TimeInForce | None
    client_order_id: str | None


def refuse(message: str, code: int = MALFORMED) -> RefusalError:
    return RefusalError(422, code, message)


def parse_body(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body, parse_float=Decimal)
    except ValueError as error:
        raise RefusalError(400, 40010000, "request body format is invalid") from error
    if not isinstance(fields, dict):
        raise RefusalError(400, 40010000, "request body format is invalid")
    return fields


def parse_order(body: bytes, instruments: dict[str, Instrument]) -> OrderTerms:
    """Return the terms of a new order.

    Raises:
        RefusalError: The request is malformed, names an unknown asset or asks for what is not offered.
    """
    fields = parse_body(body)
    if not fields.get("symbol"):
        raise refuse("symbol is required")
    instrument = find_instrument(str(fields["symbol"]), instruments)
    if instrument is None:
        raise refuse(f'asset "{fields["symbol"]}" not found', UNPROCESSABLE)
    terms = OrderTerms(
        symbol=instrument.symbol,
        side=_choice(Side, fields, "side"),
        type=_choice(OrderType, fields, "type"),
        time_in_force=_choice(TimeInForce, fields, "time_in_force"),
        quantity=_positive(fields, "qty"),
        notional=_positive(fields, "notional"),
        limit_price=_positive(fields, "limit_price"),
        stop_price=_positive(fields, "stop_price"),
        extended_hours=_flag(fields, "extended_hours"),
        position_intent=fields.get("position_intent"),
        client_order_id=_client_order_id(fields),
        order_class=_order_class(fields),
        take_profit=_exit_price(fields, "take_profit", "limit_price"),
        stop_loss=_exit_price(fields, "stop_loss", "stop_price"),
        stop_loss_limit=_exit_price(fields, "stop_loss", "limit_price"),
    )
    if terms.order_class is OrderClass.OCO and terms.type is OrderType.LIMIT and terms.limit_price is None:
        terms = replace(terms, limit_price=terms.take_profit)
    _check_quantity(terms, instrument)
    _check_prices(terms)
    if terms.order_class is not OrderClass.SIMPLE:
        _check_exits(terms, instrument)
    return terms


def parse_replacement(body: bytes) -> ReplaceTerms:
    fields = parse_body(body)
    terms = ReplaceTerms(
        quantity=_positive(fields, "qty"),
        limit_price=_positive(fields, "limit_price"),
        stop_price=_positive(fields, "stop_price"),
        time_in_force=_choice(TimeInForce, fields, "time_in_force") if fields.get("time_in_force") else None,
        client_order_id=_client_order_id(fields),
    )
    if not any((terms.quantity, terms.limit_price, terms.stop_price, terms.time_in_force)):
        raise refuse("at least one of qty, limit_price, stop_price, time_in_force is required")
    return terms


def find_instrument(symbol: str, instruments: dict[str, Instrument]) -> Instrument | None:
    """Find an instrument by symbol, by id, or by a crypto pair written without its slash."""
    if symbol in instruments:
        return instruments[symbol]
    return next((i for i in instruments.values() if symbol in (i.id, i.symbol.replace("/", ""))), None)


def _order_class(fields: dict[str, Any]) -> OrderClass:
    value = fields.get("order_class") or OrderClass.SIMPLE
    if value not in list(OrderClass) or fields.get("legs"):
        raise refuse(f"order_class {value} is not supported", UNPROCESSABLE)
    return OrderClass(value)


def _exit_price(fields: dict[str, Any], exit_name: str, name: str) -> Decimal | None:
    given = fields.get(exit_name)
    if given is None:
        return None
    if not isinstance(given, dict):
        raise refuse(f"invalid {exit_name}")
    return _positive(given, name)


def _check_exits(terms: OrderTerms, instrument: Instrument) -> None:
    """Check an order with exits as Alpaca does: whole shares for the day or until canceled, exits on their sides."""
    given = [price is not None for price in (terms.take_profit, terms.stop_loss)]
    name = terms.order_class
    if name is OrderClass.OTO and sum(given) != 1:
        raise refuse("oto orders require take_profit or stop_loss", UNPROCESSABLE)
    if name is not OrderClass.OTO and not all(given):
        missing = "stop_loss.stop_price" if given[0] else "take_profit.limit_price"
        raise refuse(f"{name} orders require {missing}", UNPROCESSABLE)
    if instrument.is_crypto:
        raise refuse(f"{name} orders are not allowed for crypto", UNPROCESSABLE)
    if terms.quantity is None or terms.quantity != terms.quantity.to_integral_value():
        raise refuse("fractional orders must be simple orders", UNPROCESSABLE)
    if terms.time_in_force not in (TimeInForce.DAY, TimeInForce.GTC) or terms.extended_hours:
        raise refuse(f"{name} orders must be DAY or GTC, within regular hours", UNPROCESSABLE)
    if name is OrderClass.OCO and terms.type is not OrderType.LIMIT:
        raise refuse("oco orders must be limit orders", UNPROCESSABLE)
    _check_sides(terms)


def _check_sides(terms: OrderTerms) -> None:
    """Refuse exits on the wrong side of each other; those of a sale lie the other way round."""
    exits_sell = (terms.side is Side.BUY) != (terms.order_class is OrderClass.OCO)
    profit, loss = terms.take_profit, terms.stop_loss
    if profit is not None and loss is not None and (profit <= loss if exits_sell else profit >= loss):
        raise refuse("take_profit.limit_price must be beyond stop_loss.stop_price", UNPROCESSABLE)


def _choice(kind: type[Choice], fields: dict[str, Any], name: str) -> Choice:
    value = fields.get(name)
    if not value:
        raise refuse(f"{name} is required")
    try:
        return kind(value)
    except ValueError as error:
        raise refuse(f"invalid {name}: {value}") from error


def _positive(fields: dict[str, Any], name: str) -> Decimal | None:
    value = fields.get(name)
    if value is None:
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise refuse(f"invalid {name}: {value}") from error
    if isinstance(value, bool) or not number.is_finite():
        raise refuse(f"invalid {name}: {value}")
    if number <= 0:
        raise refuse(f"{name} must be > 0")
    if number >= LARGEST or number != number.quantize(QUANTITY_STEP):
        raise refuse(f"{name} must be below {LARGEST} and have at most 9 decimal places")
    return number


def _flag(fields: dict[str, Any], name: str) -> bool:
    value = fields.get(name) or False
    if not isinstance(value, bool):
        raise refuse(f"invalid {name}: {value}")
    return value


def _client_order_id(fields: dict[str, Any]) -> str | None:
    value = fields.get("client_order_id") or None
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > LONGEST_CLIENT_ORDER_ID:
        raise refuse(f"client_order_id must be a string of at most {LONGEST_CLIENT_ORDER_ID} characters")
    return value


def _check_quantity(terms: OrderTerms, instrument: Instrument) -> None:
    if terms.quantity is None and terms.notional is None:
        raise refuse("qty or notional is required")
    if terms.quantity is not None and terms.notional is not None:
        raise refuse("only one of qty or notional is accepted")
    if terms.position_intent not in (None, *POSITION_INTENTS):
        raise refuse(f"invalid position_intent: {terms.position_intent}")
    is_fractional = terms.quantity is None or terms.quantity != terms.quantity.to_integral_value()
    if instrument.is_crypto:
        if terms.time_in_force not in (TimeInForce.GTC, TimeInForce.IOC):
            raise refuse("invalid crypto time_in_force", UNPROCESSABLE)
    elif is_fractional and terms.time_in_force is not TimeInForce.DAY:
        raise refuse("fractional orders must be DAY orders", UNPROCESSABLE)


def _check_prices(terms: OrderTerms) -> None:
    needs_limit, needs_stop = terms.type in LIMIT_TYPES, terms.type in STOP_TYPES
    if needs_limit and terms.limit_price is None:
        raise refuse(f"{terms.type} orders require limit price")
    if needs_stop and terms.stop_price is None:
        raise refuse(f"{terms.type} orders require stop price")
    if not needs_limit and terms.limit_price is not None:
        raise refuse(f"{terms.type} orders must not have limit price")
    if not needs_stop and terms.stop_price is not None:
        raise refuse(f"{terms.type} orders must not have stop price")
    if terms.extended_hours and (terms.type is not OrderType.LIMIT or terms.time_in_force is not TimeInForce.DAY):
        raise refuse("extended hours order must be DAY limit orders", UNPROCESSABLE)
