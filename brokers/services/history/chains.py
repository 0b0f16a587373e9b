"""The seals of some orders held against their rows, so that what it costs follows the orders and not the history."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from brokers.core.event_chain import FILLS, ORDER_EVENTS, POSITION_EVENTS
from brokers.models import HistoryAnchor, SealCursor
from brokers.services.history.sealed_rows import (
    Finding,
    Sealed,
    check_chain,
    check_content,
    read_sealed_rows,
    to_anchor,
)
from reliability.core.hash_chain import Fault, Ledger, is_intact, marks_of

# What belongs to an order: its events, its executions, and what those did to the position.
_OF_ORDERS: Mapping[Ledger, str] = {
    ORDER_EVENTS: "t.order_id = ANY(%s)",
    FILLS: "t.order_id = ANY(%s)",
    POSITION_EVENTS: "t.fill_id IN (SELECT id FROM brokers_fill WHERE order_id = ANY(%s))",
}


def broken_seals(order_ids: Sequence[UUID]) -> list[Finding]:
    """Return every row of these orders that is not as it was sealed, or that appeared where all was sealed.

    Held together are content and seal, seal and anchor, anchor and its own hash, and in chains of their own each
    seal and the one before it. Rows that are to be sealed yet are not judged. A last event that is gone
    with its seal is found by holding the order against its events.
    """
    cursors = {cursor.ledger: cursor for cursor in SealCursor.objects.all()}  # before the rows, which go on
    found: list[Finding] = []
    sealed: dict[int, list[Sealed]] = defaultdict(list)
    for ledger, where in _OF_ORDERS.items():
        parameters = [list(order_ids)]
        for item in read_sealed_rows(ledger, where, parameters):
            sealed[item.anchor].append(item)
        cursor = cursors.get(ledger.code)
        if cursor is not None:
            found += _unsealed(ledger, where, parameters, cursor)
    return found + list(_broken(sealed))


def _broken(sealed: Mapping[int, Sequence[Sealed]]) -> Iterator[Finding]:
    anchors = {row.number: to_anchor(row) for row in HistoryAnchor.objects.filter(number__in=list(sealed))}
    for number, items in sorted(sealed.items()):
        anchor = anchors.get(number)
        if anchor is None or not is_intact(anchor):
            fault = Fault.ANCHOR_MISSING if anchor is None else Fault.ANCHOR_CHANGED
            yield Finding(fault, "brokers_historyanchor", number, "It covers rows of an order that was checked.")
            continue
        marks = marks_of(anchor, [(item.ledger.code, item.row_id) for item in items])
        for item in items:
            finding = check_content(item, marks.get((item.ledger.code, item.row_id)))
            if finding is None and item.ledger.chain:
                finding = check_chain(item)
            if finding is not None:
                yield finding


def _unsealed(ledger: Ledger, where: str, parameters: Sequence[Any], cursor: SealCursor) -> list[Finding]:
    """Return the rows without a seal where all are sealed, other than in gaps not given up yet."""
    sql = (
        f"SELECT t.id FROM {ledger.table} t WHERE {where} AND t.id <= %s "  # noqa: S608  # names of ours
        "AND NOT EXISTS (SELECT FROM brokers_event_seal s WHERE s.ledger = %s AND s.row_id = t.id) "
        "AND NOT EXISTS (SELECT FROM unnest(%s::bigint[], %s::bigint[]) AS gap (a, b) "
        "WHERE t.id BETWEEN gap.a AND gap.b) ORDER BY t.id"
    )
    firsts, lasts = [gap[0] for gap in cursor.gaps], [gap[1] for gap in cursor.gaps]
    with connection.cursor() as db:
        db.execute(sql, [*parameters, cursor.sealed_id, ledger.code, firsts, lasts])
        rows = [int(row[0]) for row in db.fetchall()]
    detail = f"This {ledger.name} has no seal where all were sealed: it was put in, or its seal was taken out."
    return [Finding(Fault.ROW_INSERTED, ledger.table, row_id, detail) for row_id in rows]
