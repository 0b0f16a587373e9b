"""Orders held against their events, and built again from them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from brokers.core.history import COLUMNS, HistoryBrokenError, OrderValues, RecordedEvent, differences, fold
from brokers.models import Order
from brokers.selectors.history import EVENTS_SQL, parse_events, read_events, recorded_values
from reliability.core.errors import ReliabilityError
from reliability.services.audit import record_audit

BATCH = 1000
_NO_ID = UUID(int=0)

# One statement a batch, hence one snapshot: an order and its events cannot be of different moments.
_FILLS = (
    "SELECT coalesce(json_agg(execution_id ORDER BY execution_id), '[]')::text FROM brokers_fill WHERE order_id = o.id"
)
_READ = f"""
SELECT {", ".join(COLUMNS)}, ({EVENTS_SQL.format(order="o.id")}), ({_FILLS})
FROM brokers_order o WHERE {{where}} ORDER BY id LIMIT %s
"""  # noqa: S608  # names of our own code, no input
_ROWLESS = """
SELECT DISTINCT order_id FROM brokers_orderevent e
WHERE order_id > %s AND (%s::uuid IS NULL OR order_id <= %s)
  AND NOT EXISTS (SELECT FROM brokers_order o WHERE o.id = e.order_id)
ORDER BY order_id
"""


@dataclass(frozen=True, slots=True)
class OrderDifference:
    """One order that is not what its events make it.

    ``columns`` holds the recorded and the rebuilt value of each column that differs;
    ``broken`` says why its events make no order at all, empty otherwise.
    """

    order_id: UUID
    columns: dict[str, tuple[Any, Any]]
    broken: str = ""

    def __str__(self) -> str:
        if self.broken:
            return f"order {self.order_id}: {self.broken}"
        told = ", ".join(
            f"{name} is {ours!r}, by its events {theirs!r}" for name, (ours, theirs) in self.columns.items()
        )
        return f"order {self.order_id}: {told}"


@dataclass(frozen=True, slots=True)
class Progress:
    """Orders checked so far, and the differences of the batch just read."""

    checked: int
    differences: list[OrderDifference]


@dataclass(frozen=True, slots=True)
class _Recorded:
    values: OrderValues
    events: list[RecordedEvent]
    executions: list[str]


def compare_orders(batch: int = BATCH) -> Iterator[Progress]:
    """Hold every order against its events, ``batch`` at a time, from the oldest on."""
    after, checked = _NO_ID, 0
    while True:
        found = _read("id > %s", [after], batch)
        last = found[-1].values.id if len(found) == batch else None
        differing = [difference for item in found if (difference := _compare(item)) is not None]
        differing += [OrderDifference(order_id, {}, "it has events and no row") for order_id in _rowless(after, last)]
        checked += len(found)
        yield Progress(checked, differing)
        if last is None:
            return
        after = last


def compare_order(order_id: UUID) -> OrderDifference | None:
    """Hold one order against its events; raises ``ReliabilityError`` when there is neither row nor event."""
    found = _read("id = %s", [order_id], 1)
    if found:
        return _compare(found[0])
    if not read_events(order_id):
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such order.")
    return OrderDifference(order_id, {}, "it has events and no row")


def compare_some_orders(order_ids: Sequence[UUID]) -> list[OrderDifference]:
    """Hold these orders against their events, in one statement; those that have no row are left out."""
    found = _read("id = ANY(%s)", [list(order_ids)], len(order_ids))
    return [difference for item in found if (difference := _compare(item)) is not None]


def orders_without_rows(account_id: int) -> list[OrderValues]:
    """Return the orders of an account that have events and no row, as their events make them.

    It reads every event: for when rows were taken out. Those whose events make no order are left out.
    """
    found = []
    for order_id in _rowless(_NO_ID, None):
        try:
            values = fold(read_events(order_id))
        except HistoryBrokenError:
            continue
        if values.account_id == account_id:
            found.append(values)
    return found


def repair_order(order_id: UUID, *, actor: str, reason: str) -> OrderDifference | None:
    """Write an order's row as its events have it, with an audit entry; returns what differed.

    Raises:
        ReliabilityError: there is no such order, no reason, or its events make no order.
    """
    if not reason.strip():
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "A repair needs a reason.")
    with transaction.atomic():
        # The lock of every other writer of an order; without a row there is nobody to wait for.
        exists = Order.objects.select_for_update().filter(pk=order_id).exists()
        difference = compare_order(order_id)
        if difference is None:
            return None
        try:
            rebuilt = fold(read_events(order_id))
        except HistoryBrokenError as error:
            raise ReliabilityError("DATA_HISTORY_BROKEN", f"Its events make no order: {error}.") from error
        if exists and not difference.columns:
            raise ReliabilityError("DATA_HISTORY_BROKEN", f"{difference}. No column of its row is wrong.")
        names = list(difference.columns) if exists else list(COLUMNS)
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(rebuilt).items()}
        if exists:
            Order.objects.filter(pk=order_id).update(**{name: values[name] for name in names})
        else:
            Order.objects.create(**values)
        record_audit(
            actor,
            "repair_order",
            f"order {order_id}",
            before={name: _plain(ours) for name, (ours, _) in difference.columns.items()},
            after={name: _plain(values[name]) for name in names},
            reason=reason,
        )
        return difference


def _read(where: str, parameters: list[Any], limit: int) -> list[_Recorded]:
    with connection.cursor() as cursor:
        cursor.execute(_READ.format(where=where), [*parameters, limit])
        rows = cursor.fetchall()
    return [_recorded(row) for row in rows]


def _recorded(row: Sequence[Any]) -> _Recorded:
    *columns, events, executions = row
    return _Recorded(recorded_values(columns), parse_events(events), json.loads(executions))


def _compare(item: _Recorded) -> OrderDifference | None:
    try:
        rebuilt = fold(item.events)
    except HistoryBrokenError as error:
        return OrderDifference(item.values.id, {}, str(error))
    columns = differences(item.values, rebuilt)
    told = sorted(event.evidence["execution_id"] for event in item.events if "execution_id" in event.evidence)
    if sorted(item.executions) != told:
        return OrderDifference(
            item.values.id, columns, f"fills {item.executions} are booked, its events tell of {told}"
        )
    return OrderDifference(item.values.id, columns) if columns else None


def _rowless(after: UUID, last: UUID | None) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(_ROWLESS, [after, last, last])
        return [row[0] for row in cursor.fetchall()]


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, str, list)) else str(value)
