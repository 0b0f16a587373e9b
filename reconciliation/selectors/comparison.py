"""Finding what differs: set-based statements that return the few rows which do not agree, a chunk at a time.

Each statement lets through at least what ``core.matching`` calls a difference, and tests hold the two
against each other. Joins are by hash: both sides are read once, whatever their size.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import connection

from brokers.core.orders import Side
from brokers.core.records import RecordedPosition
from brokers.core.reports import FillReport, OrderReport, PositionReport, ReportedStatus
from brokers.selectors.recorded import (
    BOOKED_FILLS,
    HELD_POSITIONS,
    OPEN_AT_BROKER,
    UNEVEN_BOOKINGS,
    UNEVEN_BOOKINGS_SINCE,
)

CHUNK = 500
COMPARE_SECONDS = 120
_ROW_BY_ROW = ("enable_nestloop", "enable_mergejoin")

_REPORTED_ORDER = (
    "r.client_order_id, r.broker_order_id, r.status, r.symbol, r.side, r.filled_quantity, r.quantity, r.limit_price, "
    "r.reported_at"
)
_ORDERS = f"""
SELECT l.broker_order_id, {_REPORTED_ORDER}
FROM ({OPEN_AT_BROKER}) l
FULL JOIN (SELECT * FROM reconciliation_reported_order WHERE run_id = %(run)s) r
          ON r.broker_order_id = l.broker_order_id
WHERE l.id IS NULL OR r.run_id IS NULL OR l.symbol <> r.symbol OR l.side <> r.side
      OR r.status NOT IN ('working', 'partially_filled') OR l.filled_quantity <> r.filled_quantity
      OR l.quantity <> r.quantity OR l.limit_price <> r.limit_price
"""  # noqa: S608  # relations of our own code; values are parameters
_FILLS = f"""
SELECT r.execution_id, r.broker_order_id, r.symbol, r.side, r.quantity, r.price, r.executed_at, r.client_order_id,
       r.cumulative_quantity, coalesce(e.execution_id, c.execution_id)
FROM (SELECT * FROM reconciliation_reported_fill WHERE run_id = %(run)s {{only}}) r
LEFT JOIN ({BOOKED_FILLS}) e ON e.execution_id = r.execution_id
LEFT JOIN ({BOOKED_FILLS}) c ON c.broker_order_id = r.broker_order_id AND c.cumulative_quantity = r.cumulative_quantity
WHERE coalesce(e.id, c.id) IS NULL OR coalesce(e.order_id, c.order_id) IS NULL
      OR coalesce(e.quantity, c.quantity) <> r.quantity OR coalesce(e.price, c.price) <> r.price
"""  # noqa: S608
_REPORTED_FILLS = """
SELECT execution_id, broker_order_id, symbol, side, quantity, price, executed_at, client_order_id, cumulative_quantity
FROM reconciliation_reported_fill
WHERE run_id = %(run)s AND (broker_order_id = %(order)s OR execution_id = %(execution)s) ORDER BY executed_at
"""
_POSITIONS = f"""
SELECT l.symbol, l.quantity, l.average_price, l.changed_at, r.symbol, r.quantity, r.average_price
FROM ({HELD_POSITIONS}) l
FULL JOIN (SELECT * FROM reconciliation_reported_position WHERE run_id = %(run)s) r ON r.symbol = l.symbol
WHERE coalesce(l.quantity, 0) <> coalesce(r.quantity, 0)
      OR (l.average_price <> r.average_price AND l.quantity <> 0)
"""  # noqa: S608


@contextmanager
def patiently(*, by_hash: bool = True) -> Iterator[None]:
    """Let the statements of this transaction take their time, and join by hash where both sides are read whole.

    The planner has no figures for what was put beside the records a moment ago, and would
    look up a million rows one at a time.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = '{COMPARE_SECONDS}s'")
        cursor.execute("SET LOCAL work_mem = '64MB'")
        for method in _ROW_BY_ROW if by_hash else ():
            cursor.execute(f"SET LOCAL {method} = off")
        yield
        for method in _ROW_BY_ROW if by_hash else ():
            cursor.execute(f"SET LOCAL {method} = on")


def differing_orders(account_id: int, run_id: int) -> Iterator[Sequence[tuple[str | None, OrderReport | None]]]:
    """Return chunks of pairs: the broker's id as recorded, and the report; one of them may be None."""
    for rows in _stream(_ORDERS, {"account": account_id, "run": run_id}):
        yield [(row[0], None if row[2] is None else _order_report(row[1:])) for row in rows]


def differing_fills(
    account_id: int, run_id: int, executions: Sequence[str] | None = None
) -> Iterator[Sequence[tuple[FillReport, str | None]]]:
    """Return chunks of reported executions, each with the id of the booked one that is the same, or None.

    ``executions`` looks at these alone.
    """
    only = "" if executions is None else "AND execution_id = ANY(%(executions)s)"
    parameters = {"account": account_id, "run": run_id, "executions": list(executions or ())}
    for rows in _stream(_FILLS.format(only=only), parameters):
        yield [(_fill_report(row), row[9]) for row in rows]


def list_reported_fills(run_id: int, broker_order_id: str = "", execution_id: str = "") -> list[FillReport]:
    """Return executions that the broker reported to a run: of one order, or one by its id."""
    with connection.cursor() as cursor:
        cursor.execute(_REPORTED_FILLS, {"run": run_id, "order": broker_order_id, "execution": execution_id})
        return [_fill_report(row) for row in cursor.fetchall()]


def differing_positions(
    account_id: int, run_id: int
) -> Iterator[Sequence[tuple[RecordedPosition | None, PositionReport | None]]]:
    for rows in _stream(_POSITIONS, {"account": account_id, "run": run_id}):
        yield [
            (
                None if row[0] is None else RecordedPosition(*row[:4]),
                None if row[4] is None else PositionReport(*row[4:7]),
            )
            for row in rows
        ]


def uneven_bookings(account_id: int, orders: Sequence[UUID] | None) -> list[tuple[Any, ...]]:
    """Return id, broker's id, symbol, filled quantity and sum of fills of orders that do not add up.

    ``orders`` None looks at all that were ever filled; else at open ones and at these.
    """
    statement = UNEVEN_BOOKINGS if orders is None else UNEVEN_BOOKINGS_SINCE
    with connection.cursor() as cursor:
        cursor.execute(statement, {"account": account_id, "orders": list(orders or ())})
        return list(cursor.fetchall())


def _order_report(row: Sequence[Any]) -> OrderReport:
    client, broker, status, symbol, side, filled, quantity, limit_price, reported_at = row
    return OrderReport(
        client, broker, ReportedStatus(status), symbol, Side(side), filled, quantity, None, limit_price,
        reported_at=reported_at,
    )  # fmt: skip


def _fill_report(row: Sequence[Any]) -> FillReport:
    execution, order, symbol, side, quantity, price, executed_at, client, cumulative = row[:9]
    return FillReport(execution, order, symbol, Side(side), quantity, price, executed_at, client, cumulative)


def _stream(statement: str, parameters: dict[str, Any]) -> Iterator[list[Any]]:
    """Read a result through a cursor of the server, so that it is never here as a whole."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(statement, parameters)
        while rows := cursor.fetchmany(CHUNK):
            yield rows
