"""Sealing: rows that were appended get their place in a chain of hashes, and each pass an anchor.

It runs beside the work and never inside it: what appends rows knows nothing of seals. A row
is therefore sealed some seconds after it was written, and later while orders wait.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction

from brokers.core.event_chain import LEDGERS
from brokers.models import HistoryAnchor, SealCursor
from brokers.services.history.anchors import publish_anchors
from reliability.core.hash_chain import (
    FORM,
    GENESIS,
    Anchor,
    Leaf,
    Ledger,
    make_anchor,
    missing_ranges,
    seal_hash,
)

BATCH = 2000
# A gap is given up when no transaction that could fill it is left. The minute beyond covers the
# moment between taking an id and having a transaction number.
_GAP_AGE = timedelta(minutes=1)
_FIRST_GAP = 1000  # how far before the first row that is ever sealed one may still be on its way

_MOMENT = """
SELECT clock_timestamp(), pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
       pg_snapshot_xmax(pg_current_snapshot())::text::bigint
"""
_HEADS = """
SELECT p.{chain}::text, p.{place}, s.hash
FROM unnest(%s::{kind}[], %s::int[]) AS wanted (chain, place)
JOIN {table} p ON p.{chain} = wanted.chain AND p.{place} = wanted.place
JOIN brokers_event_seal s ON s.ledger = %s AND s.row_id = p.id
"""

# Source of the format: "Binary Format" under COPY in PostgreSQL's manual.
_COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_END = b"\xff\xff"
_COPIED = struct.Struct(">h iq iq iq ih ih i32s i32s")


class Row(NamedTuple):
    """One row to seal; ``place`` 0 where the whole table is one chain."""

    id: int
    chain: str
    place: int
    content: str


@dataclass(frozen=True, slots=True)
class _Moment:
    """An instant of the database, the oldest transaction still open then, and the next one to be."""

    at: datetime
    oldest: int
    next: int


_Seal = tuple[int, int, int, int, int, bytes, bytes]


def seal_appended(batch: int = BATCH) -> int:
    """Seal up to ``batch`` rows of each ledger and anchor them in one transaction; returns how many.

    Passes of several processes wait for each other. Once it is committed, the anchor is
    written where anchors go outside the database.
    """
    with transaction.atomic():
        cursors = _lock_cursors()
        last = HistoryAnchor.objects.order_by("-number").values_list("number", "hash").first()
        number, previous = (last[0] + 1, bytes(last[1])) if last else (1, GENESIS)
        now = _moment()
        seals: list[_Seal] = []
        for ledger in LEDGERS:
            seals += _seal_ledger(ledger, cursors[ledger.code], number, batch, now)
        if seals:
            _write(seals)
            leaves = [Leaf(ledger, row_id, digest) for row_id, _, _, ledger, _, _, digest in seals]
            _keep(make_anchor(number, now.at, previous, leaves))
            transaction.on_commit(publish_anchors)
    return len(seals)


def content_of(ledger: Ledger, alias: str) -> str:
    """Return SQL for the content of a row in its form, as text."""
    return f"json_build_array({', '.join(f'{alias}.{name}' for name in ledger.columns)})::text"


def _lock_cursors() -> dict[int, SealCursor]:
    SealCursor.objects.bulk_create([SealCursor(ledger=ledger.code) for ledger in LEDGERS], ignore_conflicts=True)
    return {cursor.ledger: cursor for cursor in SealCursor.objects.select_for_update().order_by("ledger")}


def _moment() -> _Moment:
    with connection.cursor() as cursor:
        cursor.execute(_MOMENT)
        return _Moment(*cursor.fetchone())


def _seal_ledger(ledger: Ledger, cursor: SealCursor, anchor: int, batch: int, now: _Moment) -> list[_Seal]:
    gaps = [gap for gap in cursor.gaps if not _is_hopeless(gap, now)]
    rows = _read(ledger, "t.id > %s", [cursor.sealed_id], batch)
    after = cursor.sealed_id
    if not after and rows:
        after = max(0, rows[0].id - _FIRST_GAP)
    missing = missing_ranges(after, [row.id for row in rows])
    late: list[Row] = []
    if cursor.gaps:
        for first, last, *_ in cursor.gaps:
            late += _read(ledger, "t.id BETWEEN %s AND %s", [first, last], last - first + 1)
        gaps = _without(gaps, [row.id for row in late])
    if missing:
        seen = _moment()
        gaps += [[first, last, seen.next, seen.at.isoformat()] for first, last in missing]
    if rows or gaps != cursor.gaps or cursor.caught_up_at is None:
        cursor.sealed_id = rows[-1].id if rows else cursor.sealed_id
        cursor.gaps = gaps
    seals = _chained(ledger, cursor, [*late, *rows], anchor)
    if len(rows) < batch:
        cursor.caught_up_at = now.at
    cursor.save()
    return seals


def _is_hopeless(gap: Sequence[Any], now: _Moment) -> bool:
    _, _, transaction_after, noticed_at = gap
    return bool(now.oldest >= transaction_after and now.at - datetime.fromisoformat(noticed_at) > _GAP_AGE)


def _without(gaps: Sequence[Sequence[Any]], found: Sequence[int]) -> list[list[Any]]:
    """Return the gaps less the ids whose rows appeared."""
    left: list[list[Any]] = []
    for first, last, *noticed in gaps:
        inside = sorted(number for number in found if first <= number <= last)
        left += [[begin, end, *noticed] for begin, end in missing_ranges(first - 1, [*inside, last + 1])]
    return left


def _read(ledger: Ledger, where: str, parameters: Sequence[Any], limit: int) -> list[Row]:
    chain, place = (f"t.{ledger.chain}::text", f"t.{ledger.place}") if ledger.chain else ("''", "0")
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT t.id, {chain}, {place}, {content_of(ledger, 't')} FROM {ledger.table} t "  # noqa: S608
            f"WHERE {where} ORDER BY t.id LIMIT %s",
            [*parameters, limit],
        )
        return [Row(*row) for row in cursor.fetchall()]


def _chained(ledger: Ledger, cursor: SealCursor, rows: Sequence[Row], anchor: int) -> list[_Seal]:
    heads = _heads(ledger, rows)
    seals: list[_Seal] = []
    for row in rows:
        if ledger.chain:
            # A row whose predecessor is gone is sealed as a beginning, which verification finds.
            position, previous = row.place, heads.get((row.chain, row.place - 1), GENESIS)
        else:
            position, previous = cursor.position + 1, bytes(cursor.head)
        digest = seal_hash(ledger.code, row.id, position, previous, row.content)
        if ledger.chain:
            heads[row.chain, row.place] = digest
        else:
            cursor.position, cursor.head = position, digest
        seals.append((row.id, position, anchor, ledger.code, FORM, previous, digest))
    return seals


def _heads(ledger: Ledger, rows: Sequence[Row]) -> dict[tuple[str, int], bytes]:
    """Return the seals that chains go on from, for rows whose predecessor is not among them."""
    if not ledger.chain:
        return {}
    here = {(row.chain, row.place) for row in rows}
    wanted = [(row.chain, row.place - 1) for row in rows if row.place > 1 and (row.chain, row.place - 1) not in here]
    if not wanted:
        return {}
    kind = "uuid" if ledger.chain == "order_id" else "bigint"
    sql = _HEADS.format(chain=ledger.chain, place=ledger.place, table=ledger.table, kind=kind)
    with connection.cursor() as cursor:
        cursor.execute(sql, [[chain for chain, _ in wanted], [place for _, place in wanted], ledger.code])
        return {(chain, place): bytes(digest) for chain, place, digest in cursor.fetchall()}


def _write(seals: Sequence[_Seal]) -> None:
    """Copy seals in: one packed row each, because binding 7 values a row costs more than hashing it."""
    packed = [
        _COPIED.pack(7, 8, row_id, 8, position, 8, anchor, 2, ledger, 2, form, 32, previous, 32, digest)
        for row_id, position, anchor, ledger, form, previous, digest in seals
    ]
    columns = "row_id, position, anchor, ledger, form, previous, hash"
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY brokers_event_seal ({columns}) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.write(b"".join((_COPY_HEAD, *packed, _COPY_END)))


def _keep(anchor: Anchor) -> None:
    HistoryAnchor.objects.create(
        number=anchor.number,
        recorded_at=anchor.recorded_at,
        rows=anchor.rows,
        previous=anchor.previous,
        root=anchor.root,
        contents=anchor.contents,
        marks=anchor.marks,
        hash=anchor.hash,
    )
