"""Reading positions as they were at an instant, how they and the balances moved, and what was done by hand."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from brokers.models import Balance, CashEntry, Position, PositionEvent
from brokers.selectors.orders import plain

MOST_POINTS = 300
# The newest event at an instant; reading begins at the last checkpoint before it, so a long history costs nothing.
_AT = """
SELECT a.name, p.symbol, e.quantity_after, e.average_price_after, e.realized_profit, e.recorded_at, e.sequence
FROM brokers_position p
JOIN brokers_account a ON a.id = p.account_id
CROSS JOIN LATERAL (
    SELECT * FROM brokers_positionevent
    WHERE position_id = p.id AND recorded_at <= %(at)s
      AND sequence >= coalesce((SELECT max(c.version) FROM brokers_positioncheckpoint c
                                WHERE c.account_id = p.account_id AND c.symbol = p.symbol
                                  AND c.day < (%(at)s AT TIME ZONE 'UTC')::date), 0)
    ORDER BY sequence DESC LIMIT 1
) e
WHERE (%(account)s = '' OR a.name = %(account)s) AND (%(within)s::bigint[] IS NULL OR a.id = ANY(%(within)s::bigint[]))
  AND (%(symbol)s = '' OR p.symbol = %(symbol)s)
ORDER BY a.name, p.symbol
"""
# The last value of each of so many equal spans of time.
_THINNED = """
SELECT DISTINCT ON (span) {columns}, {instant} FROM (
    SELECT *, width_bucket(extract(epoch FROM {instant}), extract(epoch FROM min({instant}) OVER ()),
                           extract(epoch FROM max({instant}) OVER ()) + 1, %(points)s) AS span
    FROM {table} WHERE {key} = %(id)s
) spans ORDER BY span, id DESC
"""
_POSITION_POINTS = _THINNED.format(
    columns="quantity_after, realized_profit", instant="recorded_at", table="brokers_positionevent", key="position_id"
)
_BALANCE_POINTS = _THINNED.format(columns="cash, equity", instant="asked_at", table="brokers_balance", key="account_id")


@dataclass(frozen=True, slots=True)
class PositionThen:
    """A position as it was known at an instant: since when, and after how many changes."""

    account: str
    symbol: str
    quantity: Decimal
    average_price: Decimal
    realized_profit: Decimal
    since: datetime
    version: int


Points = Sequence[tuple[datetime, Decimal, Decimal]]


def list_positions_then(
    at: datetime, *, account: str = "", symbol: str = "", within: Collection[int] | None = None
) -> list[PositionThen]:
    """Return the positions as they were recorded at an instant, those that had none yet left out.

    ``within`` are the ids of the accounts that may be seen, None for all; likewise below.
    """
    seen = None if within is None else list(within)
    with connection.cursor() as cursor:
        cursor.execute(_AT, {"at": at, "account": account, "symbol": symbol, "within": seen})
        return [PositionThen(*row) for row in cursor.fetchall()]


def position_then_facts(then: PositionThen) -> dict[str, Any]:
    return {
        "account": then.account,
        "symbol": then.symbol,
        "quantity": plain(then.quantity),
        "average_price": plain(then.average_price),
        "realized_profit": plain(then.realized_profit),
        "since": then.since,
        "version": then.version,
    }


def position_points(position_id: int) -> Points:
    """Return (when, quantity, realized profit), oldest first, at most ``MOST_POINTS`` of them."""
    return _points(_POSITION_POINTS, position_id)


def balance_points(account_id: int) -> Points:
    """Return (when, cash, equity), oldest first, at most ``MOST_POINTS`` of them."""
    return _points(_BALANCE_POINTS, account_id)


def list_position_events(
    account: str,
    symbol: str,
    *,
    before: int | None = None,
    limit: int = 100,
    within: Collection[int] | None = None,
) -> list[dict[str, Any]]:
    """Return what moved a position, newest first; ``before`` is a sequence number to go on behind."""
    rows = PositionEvent.objects.select_related("fill", "fee__fill", "change").filter(
        position__account__name=account, position__symbol=symbol
    )
    if within is not None:
        rows = rows.filter(position__account__in=within)
    if before is not None:
        rows = rows.filter(sequence__lt=before)
    return [_event_facts(row) for row in rows.order_by("-sequence")[:limit]]


def list_balances(
    account: str = "", *, limit: int = 100, within: Collection[int] | None = None
) -> list[dict[str, Any]]:
    """Return what brokers reported of accounts' money, newest first."""
    rows = Balance.objects.select_related("account").order_by("-id")
    if account:
        rows = rows.filter(account__name=account)
    if within is not None:
        rows = rows.filter(account__in=within)
    return [_balance_facts(row) for row in rows[:limit]]


def list_cash_entries(
    account: str = "", *, limit: int = 100, within: Collection[int] | None = None
) -> list[dict[str, Any]]:
    rows = CashEntry.objects.select_related("account").order_by("-id")
    if account:
        rows = rows.filter(account__name=account)
    if within is not None:
        rows = rows.filter(account__in=within)
    return [
        {
            "id": row.pk,
            "account": row.account.name,
            "kind": row.kind,
            "amount": plain(row.amount),
            "currency": row.currency,
            "symbol": row.symbol,
            "reason": row.reason,
            "actor": row.actor,
            "recorded_at": row.recorded_at,
        }
        for row in rows[:limit]
    ]


def find_position(position_id: int) -> Position | None:
    return Position.objects.select_related("account").filter(pk=position_id).first()


def _points(statement: str, key: int) -> Points:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"id": key, "points": MOST_POINTS})
        return [(row[2], row[0], row[1]) for row in cursor.fetchall()]


def _event_facts(row: PositionEvent) -> dict[str, Any]:
    change = getattr(row, "change", None)
    fill = row.fill if row.fee is None else row.fee.fill
    return {
        "sequence": row.sequence,
        "kind": change.kind if change is not None else "fill" if row.fee is None else "fee",
        "quantity_before": plain(row.quantity_before),
        "quantity_after": plain(row.quantity_after),
        "average_price_after": plain(row.average_price_after),
        "realized_profit": plain(row.realized_profit),
        "execution_id": fill.execution_id if fill is not None else None,
        "reason": change.reason if change is not None else None,
        "actor": change.actor if change is not None else None,
        "recorded_at": row.recorded_at,
    }


def _balance_facts(row: Balance) -> dict[str, Any]:
    return {
        "account": row.account.name,
        "currency": row.currency,
        "cash": plain(row.cash),
        "equity": plain(row.equity),
        "buying_power": plain(row.buying_power),
        "reserved": plain(row.reserved),
        "held_by_orders": plain(row.held_by_orders),
        "trading_blocked": row.trading_blocked,
        "asked_at": row.asked_at,
    }
