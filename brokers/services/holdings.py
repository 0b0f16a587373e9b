"""Changing positions and cash by hand: explicit events with a reason and a person, never a quiet correction."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from brokers.core.corporate_actions import (
    CashEntryKind,
    PositionChangeKind,
    SplitRatio,
    adjust,
    cash_problem,
    merge,
    split,
)
from brokers.core.order_requests import is_usable_symbol
from brokers.core.orders import Side
from brokers.core.positions import PositionFacts, apply_fee, apply_fill
from brokers.core.reports import AccountReport, CashReport
from brokers.models import Account, Balance, CashEntry, Position, PositionChange, PositionEvent
from brokers.services.account_signs import note_clock
from brokers.services.four_eyes import checked_reason
from reliability.core.errors import ReliabilityError
from reliability.services.audit import record_audit

BROKER = "broker"  # who moved cash that a broker lists by itself
_MOST_REORDERED = 10_000
_LARGEST = Decimal(10) ** 15
_HELD_BY_ORDERS = """
SELECT coalesce(sum((quantity - filled_quantity) * limit_price), 0) + coalesce(sum(notional), 0) FROM brokers_order
WHERE account_id = %s AND finished_at IS NULL AND side = 'buy'
"""
_CHECKPOINTS = """
INSERT INTO brokers_positioncheckpoint (account_id, symbol, day, quantity, average_price, realized_profit, version)
SELECT p.account_id, p.symbol, %(day)s, e.quantity_after, e.average_price_after, e.realized_profit, e.sequence
FROM brokers_position p
CROSS JOIN LATERAL (
    SELECT * FROM brokers_positionevent
    WHERE position_id = p.id AND recorded_at < %(end)s ORDER BY sequence DESC LIMIT 1
) e
WHERE e.sequence > coalesce((SELECT max(c.version) FROM brokers_positioncheckpoint c
                             WHERE c.account_id = p.account_id AND c.symbol = p.symbol), 0)
ON CONFLICT (account_id, symbol, day) DO NOTHING
"""


def adjust_position(
    account_id: int,
    symbol: str,
    *,
    quantity: Decimal,
    average_price: Decimal | None = None,
    expected: Decimal | None = None,
    by: str,
    reason: str,
    details: Mapping[str, Any] | None = None,
) -> PositionChange:
    """Set what is held of a symbol, because a person says so; the profit realized so far stays.

    Args:
        quantity: What is held from now on, negative when short.
        average_price: Per unit; None keeps the one recorded.
        expected: What the person saw recorded; anything else by now changes nothing.

    Raises:
        ReliabilityError: no reason, a number out of bounds, or the position is another by now.
    """
    _check_number("quantity", quantity)
    if average_price is not None:
        _check_number("average_price", average_price, at_least=Decimal(0))
    with transaction.atomic():
        position = _lock(account_id, symbol)
        if expected is not None and position.quantity != expected:
            raise ReliabilityError("VALIDATION_WRONG_STATE", f"What is recorded is {position.quantity} by now.")
        after = adjust(_facts(position), quantity, average_price)
        return _change(position, after, PositionChangeKind.ADJUSTMENT, by, reason, dict(details or {}))


def apply_split(account_id: int, symbol: str, ratio: SplitRatio, *, by: str, reason: str) -> PositionChange:
    """Record a split of what an account holds. Open orders are the broker's to cancel or change."""
    with transaction.atomic():
        position = _lock_held(account_id, symbol)
        details = {"new": str(ratio.new), "old": str(ratio.old)}
        return _change(position, split(_facts(position), ratio), PositionChangeKind.SPLIT, by, reason, details)


def change_symbol(account_id: int, symbol: str, new_symbol: str, *, by: str, reason: str) -> PositionChange:
    """Record that what is held goes by another symbol; what was held under that one already is added to it."""
    _check_symbol(new_symbol)
    if new_symbol == symbol:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", details={"new_symbol": ["name another symbol"]})
    with transaction.atomic():
        first, second = (_lock(account_id, name) for name in sorted((symbol, new_symbol)))
        old, new = (first, second) if first.symbol == symbol else (second, first)
        if not old.quantity:
            raise _nothing_held(symbol)
        before = _facts(old)
        details = {"from": symbol, "to": new_symbol}
        gone = PositionFacts(Decimal(0), Decimal(0), Decimal(0))
        merged = merge(_facts(new), before)
        _change(old, gone, PositionChangeKind.SYMBOL_CHANGE, by, reason, details)
        return _change(new, merged, PositionChangeKind.SYMBOL_CHANGE, by, reason, details)


def put_in_order(account_id: int, symbol: str, *, by: str) -> bool:
    """Reckon a position again from its executions in the order they happened, in the caller's transaction.

    It begins behind the last time that nothing was held, or that something else than an execution or a fee of
    one changed it. A fee counts right behind its execution.

    Returns:
        Whether that gives another average price or profit, which is recorded then as an event of its own.
    """
    position = (
        Position.objects.select_for_update(of=("self",))
        .select_related("account")
        .get(account_id=account_id, symbol=symbol)
    )
    events = PositionEvent.objects.filter(position=position)
    start = events.filter(Q(quantity_after=0) | Q(fill=None, fee=None)).order_by("-sequence").first()
    later = events.filter(sequence__gt=start.sequence if start is not None else 0)
    moves = list(later.select_related("fill", "fee__fill")[: _MOST_REORDERED + 1])
    if len(moves) > _MOST_REORDERED:
        return False
    before = _facts(position)
    facts = PositionFacts(Decimal(0), Decimal(0), Decimal(0))
    if start is not None:
        facts = PositionFacts(start.quantity_after, start.average_price_after, start.realized_profit)
    for move in sorted(moves, key=_place):
        facts = _moved(facts, move)
    if facts == before or facts.quantity != before.quantity:
        return False
    reason = "Executions had arrived in another order than they happened."
    _change(position, facts, PositionChangeKind.REORDERED, by, reason, {"executions": len(moves)})
    return True


def book_cash(
    account_id: int,
    kind: CashEntryKind,
    amount: Decimal,
    *,
    currency: str = "USD",
    symbol: str = "",
    by: str,
    reason: str,
) -> CashEntry:
    """Record cash that moved without an execution; negative is paid.

    Raises:
        ReliabilityError: no reason, or an amount that is 0, out of bounds or of the wrong sign for its kind.
    """
    reason = checked_reason(reason)
    _check_number("amount", amount)
    problem = cash_problem(kind, amount)
    if problem:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", problem, {"amount": [problem]})
    if symbol:
        _check_symbol(symbol)
    with transaction.atomic():
        name = _account_name(account_id)
        entry = CashEntry.objects.create(
            account_id=account_id, kind=kind, amount=amount, currency=currency.upper()[:8], symbol=symbol,
            reason=reason, actor=by,
        )  # fmt: skip
        after = {"kind": kind.value, "amount": str(amount), "currency": entry.currency, "symbol": symbol}
        record_audit(by, "book_cash", f"account:{name}", after=after, reason=reason)
    return entry


def book_reported_cash(account_id: int, report: CashReport) -> CashEntry:
    """Record cash that the broker itself lists, in the caller's transaction, under the broker's name for it."""
    reason = f"The broker lists it: {report.told} of {report.day}, {report.movement_id}."
    symbol = report.symbol if is_usable_symbol(report.symbol) else ""
    return book_cash(
        account_id, report.kind, report.amount, currency=report.currency, symbol=symbol, by=BROKER, reason=reason
    )


def record_balance(account_id: int, report: AccountReport, asked_at: Any) -> Balance:
    """Keep what a broker reported of an account's money, in the caller's transaction, unless it is as before."""
    note_clock(account_id, report, asked_at)
    with connection.cursor() as cursor:
        cursor.execute(_HELD_BY_ORDERS, [account_id])
        held = cursor.fetchone()[0]
    same = Balance.objects.filter(account_id=account_id).order_by("-id").first()
    told = (report.cash, report.equity, report.buying_power, report.reserved, held, report.trading_blocked)
    if same is not None and told == _balance_values(same):
        return same
    return Balance.objects.create(
        account_id=account_id,
        currency=report.currency[:8],
        cash=report.cash,
        equity=report.equity,
        buying_power=report.buying_power,
        reserved=report.reserved,
        held_by_orders=held,
        trading_blocked=report.trading_blocked,
        asked_at=asked_at,
    )


def take_checkpoints(day: Any, end: Any) -> int:
    """Keep each position as it was at the end of a UTC day, where it changed since its last checkpoint.

    Returns how many were taken; taking them again changes nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CHECKPOINTS, {"day": day, "end": end})
        return int(cursor.rowcount)


# -- inside ---------------------------------------------------------------------------------


def _lock(account_id: int, symbol: str) -> Position:
    _check_symbol(symbol)
    _account_name(account_id)
    Position.objects.bulk_create([Position(account_id=account_id, symbol=symbol)], ignore_conflicts=True)
    return (
        Position.objects.select_for_update(of=("self",))
        .select_related("account")
        .get(account_id=account_id, symbol=symbol)
    )


def _lock_held(account_id: int, symbol: str) -> Position:
    position = _lock(account_id, symbol)
    if not position.quantity:
        raise _nothing_held(symbol)
    return position


def _place(event: PositionEvent) -> tuple[datetime, int, bool]:
    """Return the place of an event among those of executions and their fees, as they happened."""
    fill = event.fill if event.fee is None else event.fee.fill
    assert fill is not None
    return fill.executed_at, fill.pk, event.fee is not None


def _moved(facts: PositionFacts, event: PositionEvent) -> PositionFacts:
    if event.fee is not None:
        return apply_fee(facts, event.fee.amount)
    assert event.fill is not None
    return apply_fill(facts, Side(event.fill.side), event.fill.quantity, event.fill.price)


def _facts(position: Position) -> PositionFacts:
    return PositionFacts(position.quantity, position.average_price, position.realized_profit)


def _change(
    position: Position, after: PositionFacts, kind: PositionChangeKind, by: str, reason: str, details: dict[str, Any]
) -> PositionChange:
    reason = checked_reason(reason)
    before = _facts(position)
    position.quantity, position.average_price = after.quantity, after.average_price
    position.realized_profit = after.realized_profit
    position.version += 1
    position.changed_at = timezone.now()
    position.save()
    event = PositionEvent.objects.create(
        position=position,
        sequence=position.version,
        quantity_before=before.quantity,
        quantity_after=after.quantity,
        average_price_after=after.average_price,
        realized_profit=after.realized_profit,
    )
    details = {**details, "average_price_before": str(before.average_price)}
    change = PositionChange.objects.create(event=event, kind=kind, reason=reason, actor=by, details=details)
    subject = f"position:{position.account.name}/{position.symbol}"
    record_audit(by, f"position_{kind.value}", subject, before=_told(before), after=_told(after), reason=reason)
    return change


def _balance_values(row: Balance) -> tuple[Any, ...]:
    return row.cash, row.equity, row.buying_power, row.reserved, row.held_by_orders, row.trading_blocked


def _told(facts: PositionFacts) -> dict[str, str]:
    return {"quantity": str(facts.quantity), "average_price": str(facts.average_price)}


def _account_name(account_id: int) -> str:
    name = Account.objects.filter(pk=account_id).values_list("name", flat=True).first()
    if name is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such account.")
    return name


def _check_symbol(symbol: str) -> None:
    if not is_usable_symbol(symbol):
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", details={"symbol": [f"not a symbol: {symbol[:40]!r}"]})


def _check_number(name: str, value: Decimal, *, at_least: Decimal = -_LARGEST) -> None:
    if not value.is_finite() or not at_least <= value <= _LARGEST or round(value, 12) != value:
        problem = "a number with at most 15 digits before and 12 behind the point"
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", details={name: [problem]})


def _nothing_held(symbol: str) -> ReliabilityError:
    return ReliabilityError("VALIDATION_WRONG_STATE", f"Nothing is held of {symbol}.")
