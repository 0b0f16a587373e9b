"""What a broker reported, put beside the records by COPY, so that one statement compares a million of each.

The tables are not logged: after a crash of PostgreSQL they are empty, which the counts of a run tell.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import connection

from brokers.core.reports import FillReport, OrderReport, PositionReport

ORDERS = "reconciliation_reported_order"
FILLS = "reconciliation_reported_fill"
POSITIONS = "reconciliation_reported_position"
_CHUNK = 2000
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_SPECIAL = frozenset("\\\t\n\r")


def clear(run_id: int) -> None:
    """Forget what was put here for a run."""
    with connection.cursor() as cursor:
        for table in (ORDERS, FILLS, POSITIONS):
            cursor.execute(f"DELETE FROM {table} WHERE run_id = %s", [run_id])  # noqa: S608  # a name of ours


def put_orders(run_id: int, reports: Iterable[OrderReport]) -> int:
    """Add orders in the caller's transaction, and return how many."""
    columns = "run_id, broker_order_id, client_order_id, symbol, side, status, quantity, filled_quantity, limit_price, "
    lines = (
        f"{run_id}\t{_text(one.broker_order_id)}\t{_text(one.client_order_id)}\t{_text(one.symbol)}\t{one.side.value}\t"
        f"{one.status.value}\t{_or_null(one.quantity)}\t{one.filled_quantity!s}\t{_or_null(one.limit_price)}\t"
        f"{_or_null(one.reported_at)}\n"
        for one in reports
    )
    return _copy(ORDERS, columns + "reported_at", lines)


def put_fills(run_id: int, reports: Iterable[FillReport]) -> int:
    columns = "run_id, execution_id, broker_order_id, symbol, side, quantity, price, executed_at, client_order_id, "
    lines = (
        f"{run_id}\t{_text(one.execution_id)}\t{_text(one.broker_order_id)}\t{_text(one.symbol)}\t{one.side.value}\t"
        f"{one.quantity!s}\t{one.price!s}\t{one.executed_at}\t{_text(one.client_order_id)}\t"
        f"{_or_null(one.cumulative_quantity)}\n"
        for one in reports
    )
    return _copy(FILLS, columns + "cumulative_quantity", lines)


def put_positions(run_id: int, reports: Iterable[PositionReport]) -> int:
    lines = (f"{run_id}\t{_text(one.symbol)}\t{one.quantity!s}\t{one.average_price!s}\n" for one in reports)
    return _copy(POSITIONS, "run_id, symbol, quantity, average_price", lines)


def count_staged(run_id: int) -> tuple[int, int]:
    """Return how many orders and fills are here."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT (SELECT count(*) FROM {ORDERS} WHERE run_id = %(run)s), "  # noqa: S608  # names of ours
            f"(SELECT count(*) FROM {FILLS} WHERE run_id = %(run)s)",
            {"run": run_id},
        )
        orders, fills = cursor.fetchone()
    return int(orders), int(fills)


def _copy(table: str, columns: str, lines: Iterable[str]) -> int:
    count = 0
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
        for chunk in _chunks(lines):
            copy.write("".join(chunk))
            count += len(chunk)
    return count


def _chunks(lines: Iterable[str]) -> Iterator[Sequence[str]]:
    chunk: list[str] = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _text(value: str) -> str:
    return value.translate(_ESCAPES) if not _SPECIAL.isdisjoint(value) else value


def _or_null(value: Any) -> str:
    return "\\N" if value is None else str(value)
