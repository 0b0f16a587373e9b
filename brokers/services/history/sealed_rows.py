"""Rows beside their seals: reading them, and what is wrong with one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from brokers.models import HistoryAnchor
from brokers.services.history.sealing import content_of
from reliability.core.hash_chain import GENESIS, Anchor, Fault, Ledger, is_marked, seal_hash


@dataclass(frozen=True, slots=True)
class Finding:
    """The first row that is not as it was sealed: which, what is wrong with it, and what shows it."""

    fault: Fault
    table: str
    row_id: int
    detail: str

    def __str__(self) -> str:
        return f"{self.table} {self.row_id}: {self.fault}. {self.detail}"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A seal beside the row it is of, and the seal its chain says comes before it.

    ``content`` and ``place`` are those of the row, None and 0 where it is gone; ``before`` is None where the row or
    the seal before it is gone.
    """

    anchor: int
    ledger: Ledger
    row_id: int
    position: int
    form: int
    previous: bytes
    hash: bytes
    content: str | None
    place: int
    before: bytes | None


def read_anchored(ledger: Ledger, first: int, last: int) -> Iterator[Sealed]:
    """Return the seals of these anchors with their rows, in sealing order."""
    source = f"brokers_event_seal s LEFT JOIN {ledger.table} t ON t.id = s.row_id"
    where = "s.ledger = %s AND s.anchor BETWEEN %s AND %s ORDER BY s.anchor, s.position, s.row_id"
    return _read(ledger, source, where, [ledger.code, first, last])


def read_sealed_rows(ledger: Ledger, where: str, parameters: Sequence[Any]) -> Iterator[Sealed]:
    """Return the rows ``t`` of a ledger for which ``where`` holds, beside their seals; those without one are left."""
    source = f"{ledger.table} t JOIN brokers_event_seal s ON s.ledger = {ledger.code} AND s.row_id = t.id"
    return _read(ledger, source, f"{where} ORDER BY t.id", parameters)


def check_content(item: Sealed, mark: bytes | None) -> Finding | None:
    """Hold a row against its seal, and the seal against its mark in the anchor, None where the anchor has none."""
    if item.content is None:
        return finding(Fault.ROW_MISSING, item, f"Its seal is there, in anchor {item.anchor}.")
    expected = seal_hash(item.ledger.code, item.row_id, item.position, item.previous, item.content, item.form)
    if item.hash != expected:
        return finding(Fault.CONTENT_CHANGED, item, f"It is not what anchor {item.anchor} sealed.")
    if mark is None:
        return finding(Fault.SEAL_INSERTED, item, f"Anchor {item.anchor} does not know its seal.")
    if not is_marked(mark, item.hash):
        detail = f"Row and seal agree, but anchor {item.anchor} covers another seal: both were rewritten."
        return finding(Fault.SEAL_CHANGED, item, detail)
    return None


def check_chain(item: Sealed) -> Finding | None:
    """Hold a seal of a ledger of many chains against the one before it in its own."""
    return check_place(item, item.place, GENESIS if item.place == 1 else item.before)


def check_place(item: Sealed, position: int, previous: bytes | None) -> Finding | None:
    """Hold a seal against the place where it should be, and the seal it should follow; None where that is gone."""
    if previous is None:
        return finding(Fault.CHAIN_CUT, item, f"Number {item.place - 1} of its chain, or its seal, is gone.")
    if item.position != position or item.previous != previous:
        return finding(Fault.CHAIN_CUT, item, f"Its seal does not follow from the {item.ledger.name} before it.")
    return None


def finding(fault: Fault, item: Sealed, detail: str) -> Finding:
    return Finding(fault, item.ledger.table, item.row_id, detail)


def to_anchor(row: HistoryAnchor) -> Anchor:
    return Anchor(
        number=row.number,
        recorded_at=row.recorded_at,
        rows=row.rows,
        previous=bytes(row.previous),
        root=bytes(row.root),
        contents=row.contents,
        marks=bytes(row.marks),
        hash=bytes(row.hash),
    )


def _read(ledger: Ledger, source: str, where: str, parameters: Sequence[Any]) -> Iterator[Sealed]:
    place, before, joins = "0", "NULL", ""
    if ledger.chain:
        place, before = f"coalesce(t.{ledger.place}, 0)", "b.hash"
        joins = (
            f"LEFT JOIN {ledger.table} p ON p.{ledger.chain} = t.{ledger.chain} "
            f"AND p.{ledger.place} = t.{ledger.place} - 1 "
            "LEFT JOIN brokers_event_seal b ON b.ledger = s.ledger AND b.row_id = p.id "
        )
    sql = (
        "SELECT s.anchor, s.row_id, s.position, s.form, s.previous, s.hash, "  # noqa: S608
        f"CASE WHEN t.id IS NOT NULL THEN {content_of(ledger, 't')} END, {place}, {before} "
        f"FROM {source} {joins}WHERE {where}"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        for anchor, row_id, position, form, previous, digest, content, at, prior in cursor.fetchall():
            seal = (bytes(previous), bytes(digest))
            known = None if prior is None else bytes(prior)
            yield Sealed(anchor, ledger, row_id, position, form, *seal, content, at, known)
