"""ccxt's unified structures as broker-neutral reports: strict about what decides, lenient about what does not.

Numbers arrive as text, because the exchange is told to make text of them; they never pass through a float.

Source:
    "Order structure", "Trade structure" and "Balance structure", ccxt manual.
"""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from brokers.adapters.ccxt.errors import ParseError
from brokers.core.fees import summed
from brokers.core.orders import Side
from brokers.core.reports import (
    AccountReport,
    Fee,
    FillReport,
    InstrumentReport,
    OrderReport,
    PositionReport,
    ReportedStatus,
)

Unified = Mapping[str, Any]
STATUSES: Mapping[str, ReportedStatus] = {
    "open": ReportedStatus.WORKING,
    "canceling": ReportedStatus.WORKING,
    "closed": ReportedStatus.FILLED,
    "canceled": ReportedStatus.CANCELED,
    "expired": ReportedStatus.EXPIRED,
    "rejected": ReportedStatus.REJECTED,
}
_ORDER_ID = re.compile(r"(?P<symbol>[A-Z0-9][A-Z0-9./_-]{0,31}):(?P<id>[A-Za-z0-9_-]{1,64})")
_ORDER_ID_MAX = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BALANCE_SUMS = frozenset({"info", "free", "used", "total", "debt", "timestamp", "datetime"})


def order_key(symbol: str, exchange_order_id: str) -> str:
    """Return the id an order is known by here: its symbol and the exchange's id, as most exchanges ask for both."""
    key = f"{symbol}:{exchange_order_id}"
    if len(key) > _ORDER_ID_MAX or not _ORDER_ID.fullmatch(key):
        raise ParseError(f"an order id that cannot be kept: {key[:80]!r}")
    return key


def split_order_key(key: str) -> tuple[str, str] | None:
    """Return symbol and exchange's id of an order's key, or None for what is not one."""
    match = _ORDER_ID.fullmatch(key)
    return (match["symbol"], match["id"]) if match else None


def parse_order(value: Any, statuses: Mapping[str, ReportedStatus]) -> OrderReport:
    """Return one order that was asked for; everything that decides must be there."""
    row = _as_object(value)
    symbol, quantity, filled = _text(row, "symbol"), _optional(row, "amount"), _number(row, "filled")
    raw_status = _text(row, "status")
    return OrderReport(
        client_order_id=_optional_text(row, "clientOrderId"),
        broker_order_id=order_key(symbol, _text(row, "id")),
        status=_status(raw_status, quantity, filled, statuses),
        symbol=symbol,
        side=_side(row),
        filled_quantity=filled,
        quantity=quantity,
        limit_price=_optional(row, "price") or None,
        average_price=_optional(row, "average") or None,
        cancel_pending=raw_status in ("canceling", "pending_cancel"),
        replace_pending=raw_status == "pending_replace",
        reported_at=_optional_instant(row, ("lastUpdateTimestamp", "timestamp")),
    )


def parse_acknowledgement(value: Any, asked: OrderReport, statuses: Mapping[str, ReportedStatus]) -> OrderReport:
    """Return the order in a reply that may hold no more than its id; what it leaves out is as ``asked``.

    What it does hold must be about the order that was sent.
    """
    row = {key: item for key, item in _as_object(value).items() if item is not None}
    merged = {
        "symbol": asked.symbol,
        "side": asked.side.value,
        "clientOrderId": asked.client_order_id,
        "amount": None if asked.quantity is None else str(asked.quantity),
        "filled": "0",
        "status": "open",
        **row,
    }
    return parse_order(merged, statuses)


def parse_trade(value: Any) -> FillReport:
    """Return one execution. Its id counts within its symbol at some exchanges, so the symbol is part of it."""
    row = _as_object(value)
    symbol, trade_id = _text(row, "symbol"), _text(row, "id")
    quantity = _number(row, "amount")
    if quantity <= 0:
        raise ParseError("a trade of nothing")
    return FillReport(
        execution_id=f"{symbol}:{trade_id}",
        broker_order_id=order_key(symbol, _text(row, "order")),
        symbol=symbol,
        side=_side(row),
        quantity=quantity,
        price=_number(row, "price"),
        executed_at=_instant(row.get("timestamp")),
        fees=_fees(row),
    )


def _fees(row: Unified) -> tuple[Fee, ...]:
    """Return the fees of a trade, one per currency; ccxt lists them, or names the only one."""
    listed = row.get("fees") or [row.get("fee")]
    if not isinstance(listed, list):
        raise ParseError("fees are no list")
    told = [_as_object(one) for one in listed if one]
    costs = [(_optional(one, "cost"), _optional_text(one, "currency")) for one in told]
    return summed(Fee(cost, currency) for cost, currency in costs if cost is not None and currency)


def parse_positions(balance: Any, currency: str, symbols: Collection[str]) -> list[PositionReport]:
    """Return what is held of each asset, under the symbol it is paid for in ``currency``, else under its own name.

    Balances tell no price, so the average price is 0: not known.
    """
    held = {code: total for code, total in _totals(balance).items() if code != currency and total}
    return [
        PositionReport(
            pair if (pair := f"{code}/{currency}") in symbols else code, total, Decimal(0), _reserved(balance, code)
        )
        for code, total in held.items()
    ]


def parse_account(balance: Any, currency: str, account: str) -> AccountReport:
    """Return the balance in ``currency``. Equity counts that currency alone: balances tell no prices."""
    totals = _totals(balance)
    info = balance.get("info")
    info = info if isinstance(info, Mapping) else {}
    row = balance.get(currency)
    free = _number(row, "free") if isinstance(row, Mapping) else Decimal(0)
    identity = next((str(info[name]) for name in ("uid", "id", "accountId") if info.get(name)), account)
    cash = totals.get(currency, Decimal(0))
    is_blocked = info.get("canTrade") in (False, "false")
    return AccountReport(identity, currency, cash, cash, free, is_blocked, _reserved(balance, currency))


def _reserved(balance: Any, code: str) -> Decimal | None:
    """Return what open orders hold of an asset, None where the exchange does not say."""
    row = balance.get(code)
    return _optional(row, "used") if isinstance(row, Mapping) else None


def parse_instruments(markets: Any) -> list[InstrumentReport]:
    """Return the spot markets; without a single one the list is not what it should be."""
    rows = [_as_object(row) for row in (markets if isinstance(markets, list) else [])]
    spot = [row for row in rows if row.get("spot")]
    if not spot:
        raise ParseError("no spot market is listed")
    return [
        InstrumentReport(_text(row, "symbol"), _text(row, "id"), row.get("active") is not False, True) for row in spot
    ]


def _totals(balance: Any) -> dict[str, Decimal]:
    if not isinstance(balance, Mapping) or not isinstance(balance.get("total"), Mapping):
        raise ParseError("a balance without totals")
    rows = {code: row for code, row in balance.items() if code not in _BALANCE_SUMS and isinstance(row, Mapping)}
    if not rows:
        raise ParseError("a balance without a single asset")
    return {code: _number(row, "total") for code, row in rows.items()}


def _status(
    raw: str, quantity: Decimal | None, filled: Decimal, statuses: Mapping[str, ReportedStatus]
) -> ReportedStatus:
    status = STATUSES.get(raw) or statuses.get(raw)
    if status is None:
        raise ParseError(f"unknown order status {raw[:40]!r}")
    if filled < 0:
        raise ParseError("a filled quantity below 0")
    if status is ReportedStatus.FILLED:
        if not filled:
            raise ParseError("a filled order without a filled quantity")
        return ReportedStatus.CANCELED if quantity is not None and filled < quantity else status
    return ReportedStatus.PARTIALLY_FILLED if status is ReportedStatus.WORKING and filled else status


def _as_object(value: Any) -> Unified:
    if not isinstance(value, Mapping):
        raise ParseError(f"expected an object, got {type(value).__name__}")
    return value


def _text(row: Unified, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise ParseError(f"{name} is missing or not a text")
    return value


def _optional_text(row: Unified, name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _number(row: Unified, name: str) -> Decimal:
    value = _optional(row, name)
    if value is None:
        raise ParseError(f"{name} is missing")
    return value


def _optional(row: Unified, name: str) -> Decimal | None:
    value = row.get(name)
    if value is None:
        return None
    try:
        number = Decimal(str(value)) if not isinstance(value, bool) else Decimal("nan")
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        raise ParseError(f"{name} is not a number")
    return number


def _side(row: Unified) -> Side:
    try:
        return Side(_text(row, "side"))
    except ValueError as error:
        raise ParseError("unknown side") from error


def _instant(value: Any) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=int(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise ParseError("an instant is missing") from error


def _optional_instant(row: Unified, names: Collection[str]) -> datetime | None:
    value = next((row[name] for name in names if row.get(name) is not None), None)
    try:
        return None if value is None else _instant(value)
    except ParseError:  # says when, not what: not worth doubting an order for
        return None
