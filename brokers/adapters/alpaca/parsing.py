"""Alpaca's JSON as broker-neutral reports: strict about what decides, lenient about what does not."""

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NoReturn, TypeVar

from brokers.core.corporate_actions import CashEntryKind, cash_problem
from brokers.core.orders import Side
from brokers.core.reports import (
    AccountReport,
    CashReport,
    FillReport,
    InstrumentReport,
    OrderReport,
    PositionReport,
    ReportedStatus,
    StreamEvent,
)

Json = dict[str, Any]
Report = TypeVar("Report")

STATUSES: dict[str, ReportedStatus] = {
    "new": ReportedStatus.WORKING,
    "accepted": ReportedStatus.WORKING,
    "pending_new": ReportedStatus.WORKING,
    "accepted_for_bidding": ReportedStatus.WORKING,
    "pending_review": ReportedStatus.WORKING,
    "pending_cancel": ReportedStatus.WORKING,
    "pending_replace": ReportedStatus.WORKING,
    "held": ReportedStatus.WORKING,  # a leg that waits for its parent
    "stopped": ReportedStatus.WORKING,  # a trade is guaranteed, not yet done
    "suspended": ReportedStatus.WORKING,  # not eligible now, may be again
    "done_for_day": ReportedStatus.WORKING,  # goes on the next trading day, or expires
    "calculated": ReportedStatus.WORKING,  # done for the day or filled: the quantity tells which
    "partially_filled": ReportedStatus.PARTIALLY_FILLED,
    "filled": ReportedStatus.FILLED,
    "canceled": ReportedStatus.CANCELED,
    "expired": ReportedStatus.EXPIRED,
    "replaced": ReportedStatus.REPLACED,
    "rejected": ReportedStatus.REJECTED,
}
SIDES: dict[str, Side] = {
    "buy": Side.BUY,
    "buy_minus": Side.BUY,
    "sell": Side.SELL,
    "sell_plus": Side.SELL,
    "sell_short": Side.SELL,
    "sell_short_exempt": Side.SELL,
}
# Activities that move cash without an execution; see "Account Activities" in Alpaca's documentation.
CASH_TYPES = (
    "CSD", "CSW", "DIV", "DIVCGL", "DIVCGS", "DIVFEE", "DIVFT", "DIVNRA", "DIVROC", "DIVTW", "DIVTXEX", "INT", "INTNRA",
    "INTTW", "FEE", "CFEE", "JNLC", "ACATC", "PTC", "MISC",
)  # fmt: skip
_CASH_KINDS = {
    "CSD": CashEntryKind.DEPOSIT,
    "CSW": CashEntryKind.WITHDRAWAL,
    "DIV": CashEntryKind.DIVIDEND,
    "INT": CashEntryKind.INTEREST,
    "FEE": CashEntryKind.FEE,
    "CFE": CashEntryKind.FEE,
}
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_FILL_EVENTS = frozenset({"fill", "partial_fill"})


class ParseError(ValueError):
    """A message is not what the broker's contract says; nothing in it may be believed."""


class UnsupportedOrderError(ParseError):
    """A multi-leg order: it has no symbol and no side of its own, only its legs have."""


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant).decode


def parse_json(body: bytes | str) -> Any:
    """Return the decoded document with fractions as ``Decimal``; raises ``ParseError``."""
    try:
        return _decode(body if isinstance(body, str) else body.decode())
    except (ValueError, RecursionError) as error:
        raise ParseError(f"not JSON: {error}") from error


def as_object(value: Any) -> Json:
    if not isinstance(value, dict):
        raise ParseError(f"expected an object, got {type(value).__name__}")
    return value


def parse_list(value: Any, parse: Callable[[Any], Report]) -> list[Report]:
    """Return each item parsed; one bad item makes the list worthless, as it would no longer be complete."""
    if not isinstance(value, list):
        raise ParseError(f"expected a list, got {type(value).__name__}")
    return [parse(item) for item in value]


def parse_order(value: Any) -> OrderReport:
    """Return one order; raises ``UnsupportedOrderError`` for the parent of a multi-leg order."""
    row = as_object(value)
    broker_order_id = _text(row, "id")
    if row.get("order_class") == "mleg" and not row.get("symbol"):
        raise UnsupportedOrderError(f"order {broker_order_id} is a multi-leg order")
    raw_status = _text(row, "status")
    quantity = _optional_decimal(row, "qty")
    filled_quantity = _decimal(row, "filled_qty")
    average_price = _optional_decimal(row, "filled_avg_price")
    return OrderReport(
        client_order_id=_optional_text(row, "client_order_id"),
        broker_order_id=broker_order_id,
        status=_status(raw_status, quantity, filled_quantity),
        symbol=_text(row, "symbol"),
        side=_side(row),
        filled_quantity=filled_quantity,
        quantity=quantity,
        notional=_optional_decimal(row, "notional"),
        limit_price=_optional_decimal(row, "limit_price"),
        average_price=average_price or None,
        cancel_pending=raw_status == "pending_cancel",
        replace_pending=raw_status == "pending_replace",
        replaced_by=_optional_text(row, "replaced_by"),
        reported_at=_reported_at(row),
        stop_price=_optional_decimal(row, "stop_price"),
        legs=_legs(row),
    )


def _legs(row: Json) -> tuple[OrderReport, ...] | None:
    """Return the exits in an order, or None where the message leaves them out."""
    legs = row.get("legs")
    return tuple(parse_list(legs, parse_order)) if legs else None


def parse_orders(value: Any) -> list[OrderReport]:
    """Return a list of orders, a multi-leg order replaced by its legs, each order once."""
    reports = parse_list(value, _parse_with_legs)
    return list({report.broker_order_id: report for group in reports for report in group}.values())


def _parse_with_legs(value: Any) -> Iterable[OrderReport]:
    try:
        return (parse_order(value),)
    except UnsupportedOrderError:
        return parse_list(value.get("legs") or [], parse_order)


def _status(raw: str, quantity: Decimal | None, filled_quantity: Decimal) -> ReportedStatus:
    status = STATUSES.get(raw)
    if status is None:
        raise ParseError(f"unknown order status {raw[:40]!r}")
    if filled_quantity < 0:
        raise ParseError("filled_qty is negative")
    if status is ReportedStatus.FILLED and not filled_quantity:
        raise ParseError("a filled order without a filled quantity")
    if raw == "calculated" and quantity is not None and filled_quantity >= quantity > 0:
        return ReportedStatus.FILLED
    return status


def activity_id(value: Any) -> str:
    """Return the id of an activity row, which is also the cursor behind it."""
    identity = _text(as_object(value), "id")
    if not identity.partition("::")[2]:
        raise ParseError("an activity id without '::'")
    return identity


def parse_fill(value: Any) -> FillReport:
    """Return one row of the FILL activities."""
    row = as_object(value)
    if row.get("activity_type") != "FILL":
        raise ParseError("an activity that is not a fill")
    return FillReport(
        execution_id=activity_id(row).partition("::")[2],
        broker_order_id=_text(row, "order_id"),
        symbol=_text(row, "symbol"),
        side=_side(row),
        quantity=_positive(row, "qty"),
        price=_decimal(row, "price"),
        executed_at=_instant(row.get("transaction_time")),
        cumulative_quantity=_optional_decimal(row, "cum_qty"),
        cursor=activity_id(row),
    )


def parse_cash_movement(value: Any) -> CashReport | None:
    """Return one activity that moved cash, None where it did not: a fee taken in an asset, one that was canceled."""
    row = as_object(value)
    name = _text(row, "activity_type")
    amount = _optional_decimal(row, "net_amount")
    if not amount or row.get("status", "executed") not in ("executed", "correct", None):
        return None
    kind = _CASH_KINDS.get(name[:3], CashEntryKind.ADJUSTMENT)
    if name in ("JNLC", "TRANS"):
        kind = CashEntryKind.DEPOSIT if amount > 0 else CashEntryKind.WITHDRAWAL
    if cash_problem(kind, amount):
        kind = CashEntryKind.ADJUSTMENT  # a dividend that is taken back, a fee that is repaid
    day = str(row.get("date") or row.get("transaction_time") or row.get("created_at") or "")[:10]
    try:
        at = date.fromisoformat(day)
    except ValueError:
        raise ParseError("an activity without a date") from None
    told = f"{name} {_optional_text(row, 'description')}".strip()[:200]
    currency = _optional_text(row, "currency") or "USD"
    return CashReport(activity_id(row), kind, amount, currency, at, _optional_text(row, "symbol"), told)


def parse_position(value: Any) -> PositionReport:
    """Return one position, short ones with a negative quantity."""
    row = as_object(value)
    quantity = _decimal(row, "qty")
    if row.get("side") == "short":
        quantity = -abs(quantity)
    elif quantity < 0:
        raise ParseError("a long position with a negative quantity")
    available = _optional_decimal(row, "qty_available")
    reserved = None if available is None else abs(quantity) - abs(available)
    return PositionReport(_text(row, "symbol"), quantity, _decimal(row, "avg_entry_price"), reserved)


def parse_account(value: Any) -> AccountReport:
    row = as_object(value)
    blocked = any(_flag(row, name) for name in ("trading_blocked", "account_blocked", "trade_suspended_by_user"))
    return AccountReport(
        broker_account_id=_text(row, "id"),
        currency=_optional_text(row, "currency") or "USD",
        cash=_decimal(row, "cash"),
        equity=_decimal(row, "equity"),
        buying_power=_decimal(row, "buying_power"),
        trading_blocked=blocked or _text(row, "status") != "ACTIVE",
    )


def parse_instrument(value: Any) -> InstrumentReport:
    row = as_object(value)
    return InstrumentReport(
        symbol=_text(row, "symbol"),
        name=_optional_text(row, "name"),
        tradable=_flag(row, "tradable") and row.get("status", "active") == "active",
        fractionable=_flag(row, "fractionable"),
    )


def parse_trade_update(value: Any) -> StreamEvent:
    """Return the event in the ``data`` of a trade update.

    The order is what counts: it carries the cumulative quantity, so an event of an unknown
    name, or a fill without its particulars, still says where the order stands.
    """
    data = as_object(value)
    order = parse_order(data.get("order"))
    name = _optional_text(data, "event")
    return StreamEvent(name, order, _stream_fill(data, order) if name in _FILL_EVENTS else None)


def _stream_fill(data: Json, order: OrderReport) -> FillReport | None:
    try:
        return FillReport(
            execution_id=_text(data, "execution_id"),
            broker_order_id=order.broker_order_id,
            symbol=order.symbol,
            side=order.side,
            quantity=_positive(data, "qty"),
            price=_decimal(data, "price"),
            executed_at=_instant(data.get("timestamp")),
            client_order_id=order.client_order_id,
            cumulative_quantity=order.filled_quantity,
        )
    except ParseError:
        return None


def _text(row: Json, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise ParseError(f"{name} is missing or not a text")
    return value


def _optional_text(row: Json, name: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ParseError(f"{name} is not a text")
    return value


def _flag(row: Json, name: str) -> bool:
    value = row.get(name, False)
    if not isinstance(value, bool):
        raise ParseError(f"{name} is neither true nor false")
    return value


def _decimal(row: Json, name: str) -> Decimal:
    value = _optional_decimal(row, name)
    if value is None:
        raise ParseError(f"{name} is missing")
    return value


def _positive(row: Json, name: str) -> Decimal:
    value = _decimal(row, name)
    if value <= 0:
        raise ParseError(f"{name} is not above 0")
    return value


def _optional_decimal(row: Json, name: str) -> Decimal | None:
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return Decimal(value)
    raise ParseError(f"{name} is not a number")


def _side(row: Json) -> Side:
    side = SIDES.get(_text(row, "side"))
    if side is None:
        raise ParseError("unknown side")
    return side


def _instant(value: Any) -> datetime:
    if not isinstance(value, str):
        raise ParseError("an instant is missing")
    try:
        instant = datetime.fromisoformat(value)
    except ValueError as error:
        raise ParseError(f"not an instant: {value[:40]!r}") from error
    if instant.tzinfo is None:
        raise ParseError("an instant without a time zone")
    return instant.astimezone(UTC)


def _reported_at(row: Json) -> datetime | None:
    value = row.get("updated_at") or row.get("submitted_at")
    try:
        return None if value is None else _instant(value)
    except ParseError:  # says when, not what: not worth doubting an order for
        return None
