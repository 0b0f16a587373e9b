"""From the client library's objects to reports, and from order terms to its objects.

Source:
    "Orders", "Order Submission" and "Executions and Commissions", TWS API documentation, Interactive Brokers.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ib_async.contract import Contract
from ib_async.objects import Execution
from ib_async.order import Order
from ib_async.util import UNSET_DOUBLE

from brokers.adapters.errors import BrokerCallError
from brokers.adapters.ib.errors import refused
from brokers.adapters.ib.known_orders import KnownOrder
from brokers.core.fees import summed
from brokers.core.orders import ExitRole, OrderTerms, OrderType, Side, TimeInForce
from brokers.core.reports import (
    AccountReport,
    Fee,
    FillReport,
    OrderReport,
    PositionReport,
    ReportedStatus,
)

CURRENCY = "USD"
SUMMARY_TAGS = ("NetLiquidation", "TotalCashValue", "BuyingPower")
LEDGER_TAG = f"$LEDGER:{CURRENCY}"
FINAL_STATUSES = frozenset({"Filled", "Cancelled", "ApiCancelled", "Inactive"})
EXIT_SUFFIXES = {ExitRole.TAKE_PROFIT: ".p", ExitRole.STOP_LOSS: ".l"}
UNCONFIRMED_STATUSES = frozenset({"", "ApiPending", "PendingSubmit"})
_ORDER_TYPES = {
    OrderType.MARKET: "MKT",
    OrderType.LIMIT: "LMT",
    OrderType.STOP: "STP",
    OrderType.STOP_LIMIT: "STP LMT",
}
_TIMES_IN_FORCE = {
    TimeInForce.DAY: "DAY",
    TimeInForce.GTC: "GTC",
    TimeInForce.IOC: "IOC",
    TimeInForce.FOK: "FOK",
}
_CLIENT_ORDER_ID = re.compile(r"[\x21-\x7e]{1,40}")
_SYMBOL = re.compile(r"[A-Z0-9]{1,12}(\.[A-Z0-9]{1,4}|/[A-Z]{3,5})?")
_REVISION = re.compile(r"^(?P<base>.+)\.(?P<revision>\d+)$")
_EXPIRED = re.compile(r"expire", re.IGNORECASE)


class ParseError(ValueError):
    """A message of the gateway cannot be believed."""


def contract_for(symbol: str) -> Any:
    """Return the contract a symbol stands for: ``AAPL`` and ``BRK.B`` are US stocks, ``BTC/USD`` is a currency pair.

    Raises ``BrokerCallError`` for a symbol that cannot be written down.
    """
    if not _SYMBOL.fullmatch(symbol):
        raise refused("VALIDATION_UNKNOWN_SYMBOL", "not a symbol this adapter can name at Interactive Brokers")
    base, separator, quote = symbol.partition("/")
    if separator:
        return Contract(symbol=base, secType="CRYPTO", exchange="PAXOS", currency=quote)
    return Contract(symbol=base.replace(".", " "), secType="STK", exchange="SMART", currency=CURRENCY)


def symbol_of(contract: Any) -> str:
    """Return our symbol of a contract; other kinds than US stocks and currency pairs get a name nobody submits."""
    if contract.secType == "CRYPTO":
        return f"{contract.symbol}/{contract.currency}"
    symbol = str(contract.symbol).replace(" ", ".")
    if contract.secType == "STK" and contract.currency == CURRENCY:
        return symbol
    return f"{contract.secType}:{contract.localSymbol or symbol}:{contract.currency}"[:32]


def order_for(client_order_id: str, terms: OrderTerms, account: str) -> Any:
    """Return the order to place; raises ``BrokerCallError`` for terms that cannot be written down."""
    if not _CLIENT_ORDER_ID.fullmatch(client_order_id):
        raise _invalid("a client order id has 1 to 40 visible characters here")
    order: Any = Order(
        action="BUY" if terms.side is Side.BUY else "SELL",
        orderType=_ORDER_TYPES[terms.order_type],
        tif=_TIMES_IN_FORCE[terms.time_in_force],
        orderRef=client_order_id,
        account=account,
        outsideRth=terms.extended_hours,
    )
    order.totalQuantity = _number(terms.quantity) if terms.quantity is not None else 0
    if terms.notional is not None:
        order.cashQty = _number(terms.notional)
    if terms.limit_price is not None:
        order.lmtPrice = _number(terms.limit_price)
    if terms.stop_price is not None:
        order.auxPrice = _number(terms.stop_price)
    return order


def exits_for(client_order_id: str, terms: OrderTerms, account: str) -> list[Any]:
    """Return the exits of an order, to be placed as its children; each is named after it.

    The first leg of a bracket is the take-profit. Raises ``BrokerCallError`` for terms that cannot be written down.
    """
    if terms.exits is None:
        return []
    exits, side = terms.exits, Side.SELL if terms.side is Side.BUY else Side.BUY
    plain = replace(terms, side=side, exits=None, extended_hours=False, limit_price=None, stop_price=None)
    found = []
    if exits.take_profit is not None:
        profit = replace(plain, order_type=OrderType.LIMIT, limit_price=exits.take_profit)
        found.append(order_for(f"{client_order_id}{EXIT_SUFFIXES[ExitRole.TAKE_PROFIT]}", profit, account))
    if exits.stop_loss is not None:
        kind = OrderType.STOP if exits.stop_loss_limit is None else OrderType.STOP_LIMIT
        loss = replace(plain, order_type=kind, stop_price=exits.stop_loss, limit_price=exits.stop_loss_limit)
        found.append(order_for(f"{client_order_id}{EXIT_SUFFIXES[ExitRole.STOP_LOSS]}", loss, account))
    return found


def with_legs(report: OrderReport, others: Iterable[OrderReport]) -> OrderReport:
    """Return the report with those of the others that are its exits, by their names: all that there are."""
    by_name = {other.client_order_id: other for other in others}
    names = [f"{report.client_order_id}{suffix}" for suffix in EXIT_SUFFIXES.values()]
    legs = tuple(by_name[name] for name in names if report.client_order_id and name in by_name)
    return replace(report, legs=legs)


def open_order_report(known: KnownOrder) -> OrderReport:
    """Return the report of an order that the gateway listed as open, or told of.

    ``Inactive`` covers orders that were refused and orders that are held and may come back, so it counts as
    working until the gateway lists the order as completed.
    """
    order, status = known.order, known.status
    filled = decimal(known.filled)
    reported = _STATUSES.get(status, ReportedStatus.WORKING)
    if reported is ReportedStatus.WORKING and filled > 0:
        reported = ReportedStatus.PARTIALLY_FILLED
    quantity, notional = _size(order)
    return OrderReport(
        client_order_id=str(order.orderRef),
        broker_order_id=str(require_perm_id(known.perm_id)),
        status=reported,
        symbol=symbol_of(known.contract),
        side=side_of(order.action),
        filled_quantity=filled,
        quantity=quantity,
        notional=notional,
        limit_price=_limit_price(order),
        stop_price=_stop_price(order),
        average_price=decimal(known.average_price) if filled > 0 and known.average_price else None,
        cancel_pending=status == "PendingCancel",
    )


def completed_order_report(contract: Any, order: Any, state: Any) -> OrderReport:
    """Return the report of a completed order. The gateway gives no average price, and often no quantity asked for."""
    status = _COMPLETED_STATUSES.get(state.status)
    if status is None:
        raise ParseError(f"a completed order with status {state.status[:40]!r}")
    if status is ReportedStatus.CANCELED and _EXPIRED.search(state.completedStatus or ""):
        status = ReportedStatus.EXPIRED
    filled = decimal(0 if order.filledQuantity == UNSET_DOUBLE else order.filledQuantity)
    quantity, notional = _size(order)
    if quantity is None and notional is None and status is ReportedStatus.FILLED:
        quantity = filled
    return OrderReport(
        client_order_id=str(order.orderRef),
        broker_order_id=str(require_perm_id(order.permId)),
        status=status,
        symbol=symbol_of(contract),
        side=side_of(order.action),
        filled_quantity=filled,
        quantity=quantity,
        notional=notional,
        limit_price=_limit_price(order),
        stop_price=_stop_price(order),
    )


def executed_order_report(fills: list[FillReport]) -> OrderReport:
    """Return what an order's executions alone prove of it: that it lived, and how much was filled."""
    last = max(fills, key=lambda fill: fill.cumulative_quantity or Decimal(0))
    return OrderReport(
        client_order_id=last.client_order_id,
        broker_order_id=last.broker_order_id,
        status=ReportedStatus.PARTIALLY_FILLED,
        symbol=last.symbol,
        side=last.side,
        filled_quantity=last.cumulative_quantity or Decimal(0),
    )


def base_execution_id(execution_id: str) -> str:
    """Return the id of an execution without its last part, which counts corrections; raises ``ParseError``."""
    match = _REVISION.match(execution_id)
    if match is None:
        raise ParseError("an execution without an id")
    return match["base"]


def fees_of(commission: Any) -> tuple[Fee, ...]:
    """Return the fee that a commission report tells, none where it does not know yet."""
    if commission is None or commission.commission == UNSET_DOUBLE or not commission.currency:
        return ()
    return summed([Fee(decimal(commission.commission), str(commission.currency))])


def fill_report(contract: Any, execution: Execution, commission: Any = None) -> FillReport:
    """Return one execution, with the fee of its commission report where that has come.

    Its id is the gateway's without the last part, which counts corrections: a corrected execution is the same
    one again, and is not booked a second time.
    """
    base = base_execution_id(execution.execId)
    if execution.time.tzinfo is None:
        raise ParseError("an execution without a time zone")
    at = execution.time.astimezone(UTC)
    sides = {"BOT": Side.BUY, "SLD": Side.SELL}
    if execution.side not in sides:
        raise ParseError("an execution without a side")
    return FillReport(
        execution_id=base,
        broker_order_id=str(require_perm_id(execution.permId)),
        symbol=symbol_of(contract),
        side=sides[execution.side],
        quantity=decimal(execution.shares),
        price=decimal(execution.price),
        executed_at=at,
        client_order_id=str(execution.orderRef),
        cumulative_quantity=decimal(execution.cumQty),
        cursor=f"{at:%Y%m%d-%H:%M:%S}/{base}",
        fees=fees_of(commission),
    )


def fills_after(cursor: str, fills: list[FillReport]) -> list[FillReport]:
    """Return each execution behind ``cursor`` once, oldest first; times are whole seconds, so ids break ties."""
    unique = {fill.execution_id: fill for fill in fills}
    ordered = sorted(unique.values(), key=lambda fill: fill.cursor)
    return [fill for fill in ordered if fill.cursor > cursor]


def cursor_time(cursor: str) -> str:
    """Return the time to ask executions from, in the gateway's UTC notation; empty for the beginning.

    Raises ``BrokerCallError`` for a cursor of some other broker.
    """
    if not cursor:
        return ""
    moment, separator, _ = cursor.partition("/")
    try:
        at = datetime.strptime(moment, "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        separator = ""
    if not separator:
        raise refused("VALIDATION_INVALID_REQUEST", "not a cursor of this broker")
    return f"{at - timedelta(seconds=1):%Y%m%d-%H:%M:%S}"


def position_report(contract: Any, quantity: float, average_cost: float) -> PositionReport:
    return PositionReport(symbol_of(contract), decimal(quantity), decimal(average_cost))


def account_report(account: str, values: dict[str, tuple[str, str]]) -> AccountReport:
    """Return the balances out of an account summary: (value, currency) by tag.

    The total cash is that of all currencies, worth something else every day. Where the ledger of the account's own
    currency is told, its cash counts: it moves with what was paid for in that currency alone.
    """
    if missing := [tag for tag in SUMMARY_TAGS if tag not in values]:
        raise ParseError(f"an account summary without {', '.join(missing)}")
    equity, cash, buying_power = (decimal(values[tag][0]) for tag in SUMMARY_TAGS)
    currency = values["NetLiquidation"][1]
    own, of_currency = values.get("CashBalance", ("", ""))
    cash = decimal(own) if of_currency == currency else cash
    return AccountReport(account, currency, cash, equity, buying_power, trading_blocked=False)


def require_perm_id(perm_id: int) -> int:
    if perm_id <= 0:
        raise ParseError("an order without its permanent id")
    return perm_id


def side_of(action: str) -> Side:
    try:
        return {"BUY": Side.BUY, "SELL": Side.SELL, "SSHORT": Side.SELL}[action]
    except KeyError:
        raise ParseError(f"an order with action {action[:20]!r}") from None


def decimal(value: float | str) -> Decimal:
    """Return the shortest decimal that reads as the same number: what the gateway wrote, up to 15 digits."""
    try:
        number = Decimal(value if isinstance(value, str) else repr(value))
    except ArithmeticError:
        raise ParseError("a number that is none") from None
    if not number.is_finite():
        raise ParseError("a number that is not finite")
    return number.to_integral_value() if number == number.to_integral_value() else number


_STATUSES = {
    "Filled": ReportedStatus.FILLED,
    "Cancelled": ReportedStatus.CANCELED,
    "ApiCancelled": ReportedStatus.CANCELED,
}
_COMPLETED_STATUSES = {**_STATUSES, "Inactive": ReportedStatus.REJECTED}


def _size(order: Any) -> tuple[Decimal | None, Decimal | None]:
    """Return quantity and cash amount, of which an order has one."""
    if order.totalQuantity and order.totalQuantity != UNSET_DOUBLE:
        return decimal(order.totalQuantity), None
    if order.cashQty and order.cashQty != UNSET_DOUBLE:
        return None, decimal(order.cashQty)
    return None, None


def _limit_price(order: Any) -> Decimal | None:
    has_limit = order.orderType in ("LMT", "STP LMT") and order.lmtPrice not in (None, UNSET_DOUBLE)
    return decimal(order.lmtPrice) if has_limit else None


def _stop_price(order: Any) -> Decimal | None:
    has_stop = order.orderType in ("STP", "STP LMT") and order.auxPrice not in (None, UNSET_DOUBLE)
    return decimal(order.auxPrice) if has_stop else None


def _number(value: Decimal) -> str:
    if not value.is_finite():
        raise _invalid("a quantity or price is not a number")
    return format(value, "f")


def _invalid(message: str) -> BrokerCallError:
    return refused("VALIDATION_INVALID_ORDER", message)
