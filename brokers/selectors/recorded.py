"""What is recorded of an account, for those who compare it with what its broker reports.

The constants are relations for statements of other apps that join a million rows at once; their
columns are the fields of ``brokers.core.records``, and ``account`` is their one parameter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from brokers.core.corporate_actions import CashEntryKind
from brokers.core.orders import OrderState, Side
from brokers.core.records import RecordedFill, RecordedOrder, RecordedPosition
from brokers.models import Account, Balance, CashEntry, Fill, Position

# Orders that the broker should list as open: not final, and it has named them.
OPEN_AT_BROKER = """
SELECT id, client_order_id, broker_order_id, symbol, side, quantity, filled_quantity, limit_price
FROM brokers_order WHERE account_id = %(account)s AND finished_at IS NULL AND broker_order_id <> ''
"""
BOOKED_FILLS = """
SELECT id, execution_id, broker_order_id, symbol, side, quantity, price, cumulative_quantity, order_id
FROM brokers_fill WHERE account_id = %(account)s
"""
HELD_POSITIONS = """
SELECT symbol, quantity, average_price, changed_at FROM brokers_position WHERE account_id = %(account)s
"""
# Orders whose own fills do not add up to what they say was filled: all, and those that a mark leaves in question
# (open and partly filled ones, and ``orders``, for which something was booked behind it).
UNEVEN_BOOKINGS = """
SELECT o.id, o.broker_order_id, o.symbol, o.filled_quantity, coalesce(f.booked, 0) AS booked
FROM (SELECT id, broker_order_id, symbol, filled_quantity FROM brokers_order
      WHERE account_id = %(account)s AND filled_quantity > 0) o
LEFT JOIN (SELECT order_id, sum(quantity) AS booked FROM brokers_fill
           WHERE account_id = %(account)s AND order_id IS NOT NULL GROUP BY order_id) f ON f.order_id = o.id
WHERE o.filled_quantity IS DISTINCT FROM f.booked
"""
UNEVEN_BOOKINGS_SINCE = """
SELECT o.id, o.broker_order_id, o.symbol, o.filled_quantity, coalesce(f.booked, 0) AS booked
FROM brokers_order o
CROSS JOIN LATERAL (SELECT sum(quantity) AS booked FROM brokers_fill WHERE order_id = o.id) f
WHERE o.account_id = %(account)s AND ((o.finished_at IS NULL AND o.filled_quantity > 0) OR o.id = ANY(%(orders)s))
      AND o.filled_quantity <> coalesce(f.booked, 0)
"""

_ORDERS = """
SELECT o.id, o.client_order_id, o.broker_order_id, o.symbol, o.side, o.quantity, o.filled_quantity, o.limit_price,
       o.state, e.recorded_at
FROM brokers_order o LEFT JOIN brokers_orderevent e ON e.order_id = o.id AND e.sequence = o.version
WHERE o.account_id = %(account)s AND (o.client_order_id = ANY(%(client_ids)s)
      OR (o.broker_order_id <> '' AND o.broker_order_id = ANY(%(broker_ids)s)))
"""
# How often rows of these tables were added, changed and taken out, as PostgreSQL counts it, and the file they are in.
_ROW_COUNTS = """
SELECT c.relname, coalesce(pg_relation_filenode(c.oid), 0)::bigint,
       pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_xact_tuples_inserted(c.oid),
       pg_stat_get_tuples_updated(c.oid) + pg_stat_get_xact_tuples_updated(c.oid),
       pg_stat_get_tuples_deleted(c.oid) + pg_stat_get_xact_tuples_deleted(c.oid)
FROM pg_class c WHERE c.oid = ANY(%s::regclass[]) AND current_setting('track_counts')::boolean
"""
APPEND_ONLY = ("brokers_fill", "brokers_orderevent", "brokers_positionevent")
ORDERS_TABLE = "brokers_order"
NEVER_DELETED = (*APPEND_ONLY, ORDERS_TABLE)
_CASH_ENTRIES = """
SELECT coalesce(sum(amount) FILTER (WHERE currency = %(currency)s), 0), coalesce(max(id), 0)
FROM brokers_cashentry WHERE account_id = %(account)s AND id > %(after)s
"""
_CASH_FLOW = """
SELECT coalesce(sum(CASE side WHEN 'buy' THEN -quantity * price ELSE quantity * price END), 0), count(*),
       max(executed_at), coalesce(max(id), 0),
       coalesce(bool_or(coalesce(nullif(split_part(symbol, '/', 2), ''), 'USD') <> %(currency)s
                        OR symbol LIKE '%%:%%'), false)
FROM brokers_fill WHERE account_id = %(account)s AND id > %(after)s
"""
_CASH_FEES = """
SELECT coalesce(sum(amount) FILTER (WHERE currency = %(currency)s AND symbol = ''), 0), max(recorded_at),
       coalesce(max(id), 0)
FROM brokers_fillfee WHERE account_id = %(account)s AND id > %(after)s
"""


@dataclass(frozen=True, slots=True)
class CashFlow:
    """What executions moved in the account's currency; ``has_other_currency``: some were paid for in another one.

    A symbol that is no pair is paid for in US dollars.
    """

    amount: Decimal
    executions: int
    latest_at: datetime | None
    newest_id: int
    has_other_currency: bool


def list_recorded_orders(
    account_id: int, client_ids: Iterable[str], broker_ids: Iterable[str]
) -> dict[str, RecordedOrder]:
    """Return the orders that either id names, final ones too, under both of their ids."""
    parameters: Any = {
        "account": account_id,
        "client_ids": [one for one in client_ids if one],
        "broker_ids": [one for one in broker_ids if one],
    }
    found: dict[str, RecordedOrder] = {}
    with connection.cursor() as cursor:
        cursor.execute(_ORDERS, parameters)
        for key, client, broker, symbol, side, quantity, filled, limit_price, state, changed_at in cursor.fetchall():
            sizes = (quantity, filled, limit_price)
            order = RecordedOrder(key, client, broker, symbol, Side(side), *sizes, OrderState(state), changed_at)
            found[order.client_order_id] = order
            if order.broker_order_id:
                found[order.broker_order_id] = order
    return found


def list_recorded_fills(account_id: int, execution_ids: Sequence[str]) -> dict[str, RecordedFill]:
    """Return booked executions under their ids; those that came by another way under another id are not among them."""
    rows = Fill.objects.filter(account_id=account_id, execution_id__in=execution_ids)
    values = rows.values_list("execution_id", "broker_order_id", "symbol", "side", "quantity", "price", "order_id")
    return {
        name: RecordedFill(name, broker_order_id, symbol, Side(side), quantity, price, order_id)
        for name, broker_order_id, symbol, side, quantity, price, order_id in values
    }


def list_recorded_positions(account_id: int, symbols: Iterable[str]) -> dict[str, RecordedPosition]:
    rows = Position.objects.filter(account_id=account_id, symbol__in=list(symbols))
    values = rows.values_list("symbol", "quantity", "average_price", "changed_at")
    return {row[0]: RecordedPosition(*row) for row in values}


def newest_fill_id() -> int:
    """Return the number of the newest fill of all accounts, 0 without any."""
    return Fill.objects.order_by("-id").values_list("id", flat=True).first() or 0


def read_cash_flow(account_id: int, currency: str, after: int) -> CashFlow:
    """Return what the executions booked behind fill ``after`` moved."""
    with connection.cursor() as cursor:
        cursor.execute(_CASH_FLOW, {"account": account_id, "currency": currency, "after": after})
        return CashFlow(*cursor.fetchone())


@dataclass(frozen=True, slots=True)
class CashFees:
    """Fees of executions that were taken out of the cash, when the last fee of any kind was told, and its number."""

    amount: Decimal
    latest_at: datetime | None
    newest_id: int


def read_cash_fees(account_id: int, currency: str, after: int) -> CashFees:
    """Return what the fees told behind fee ``after`` took."""
    with connection.cursor() as cursor:
        cursor.execute(_CASH_FEES, {"account": account_id, "currency": currency, "after": after})
        return CashFees(*cursor.fetchone())


def reported_currency(account_id: int) -> str:
    """Return the currency of the money that the broker reported last, empty where it never did."""
    newest = Balance.objects.filter(account_id=account_id).order_by("-id")
    return newest.values_list("currency", flat=True).first() or ""


def assets_of_crossed_pairs(account_id: int, currency: str) -> frozenset[str]:
    """Return the assets that were traded for one another, not for the account's currency.

    What is held of them is in two positions at once, so that neither is what the broker holds. None where the
    currency is not known.
    """
    if not currency:
        return frozenset()
    pairs = Position.objects.filter(account_id=account_id, symbol__contains="/")
    crossed = pairs.exclude(symbol__endswith=f"/{currency}").values_list("symbol", flat=True)
    return frozenset(asset for symbol in crossed for asset in symbol.split("/"))


def read_cash_entries(account_id: int, currency: str, after: int) -> tuple[Decimal, int]:
    """Return what cash entries behind entry ``after`` moved, and the number of the last of them, 0 without any."""
    with connection.cursor() as cursor:
        cursor.execute(_CASH_ENTRIES, {"account": account_id, "currency": currency, "after": after})
        amount, newest = cursor.fetchone()
    return amount, newest


def read_row_counts() -> dict[str, list[int]]:
    """Return how the record's tables were written to so far: file, rows added, changed and taken out, by table.

    PostgreSQL keeps these counts by itself, so reading them costs the same whatever is recorded. Empty where
    it was told not to count (``track_counts``). A session's last changes are counted when it is idle, within seconds.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ROW_COUNTS, [list(NEVER_DELETED)])
        return {name: list(counts) for name, *counts in cursor.fetchall()}


def cash_entries_by_hand(
    account_id: int, kind: CashEntryKind, amount: Decimal, currency: str, since: datetime, *, besides: Sequence[int]
) -> list[int]:
    """Return the cash entries since an instant that persons booked of just this kind and amount, oldest first."""
    rows = CashEntry.objects.filter(account_id=account_id, kind=kind, amount=amount, currency=currency)
    rows = rows.filter(recorded_at__gte=since).exclude(actor="broker").exclude(pk__in=besides)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def account_name(account_id: int) -> str:
    return str(Account.objects.values_list("name", flat=True).get(pk=account_id))


def find_account_id(name: str) -> int | None:
    return Account.objects.filter(name=name).values_list("pk", flat=True).first()


def order_ids_with_fills_after(account_id: int, fill_id: int) -> list[UUID]:
    """Return the orders of an account for which something was booked behind a fill."""
    rows = Fill.objects.filter(account_id=account_id, id__gt=fill_id, order_id__isnull=False)
    return list(rows.values_list("order_id", flat=True).distinct())
