"""Recomputing every seal and anchor from the rows themselves, and naming the first that is wrong."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from brokers.core.event_chain import LEDGERS
from brokers.models import HistoryAnchor, SealCursor
from brokers.services.history.sealed_rows import (
    Finding,
    Sealed,
    check_chain,
    check_content,
    check_place,
    read_anchored,
    to_anchor,
)
from reliability.core.hash_chain import GENESIS, Anchor, Fault, Leaf, Ledger, is_intact, leaf_marks, root_of

_ROWS_AT_ONCE = 5000
_ANCHORS_AT_ONCE = 500
_GUARDS = """
SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relname = ANY(%s) AND t.tgenabled = 'A'
  AND t.tgname IN (c.relname || '_append_only', c.relname || '_no_truncate')
"""
_OWN_TABLES = ("brokers_event_seal", "brokers_historyanchor")
_NAMES = {ledger.code: ledger.name for ledger in LEDGERS}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it got: the anchor just verified, the rows so far, and the first finding, after which it ends."""

    anchor: int
    rows: int
    finding: Finding | None = None


def missing_guards() -> list[str]:
    """Return the tables on which a change, a deletion or a truncation would not be refused."""
    tables = [*(ledger.table for ledger in LEDGERS), *_OWN_TABLES]
    with connection.cursor() as cursor:
        cursor.execute(_GUARDS, [tables])
        found = set(cursor.fetchall())
    return [t for t in tables if not {(t, f"{t}_append_only"), (t, f"{t}_no_truncate")} <= found]


def verify_history(since: datetime | None = None, copies: Mapping[int, str] | None = None) -> Iterator[Progress]:
    """Recompute what was sealed, oldest first, and end at the first finding.

    Args:
        since: Begin with the first anchor of then or later; what is before is taken as it stands.
        copies: Hashes of anchors kept outside the database, in hexadecimal, by number.
    """
    return _Verification(since, copies or {}).run()


class _Verification:
    """One walk; ``_heads`` are the ends of the chains that go over whole tables."""

    def __init__(self, since: datetime | None, copies: Mapping[int, str]) -> None:
        self._copies = copies
        self._cursors = {cursor.ledger: cursor for cursor in SealCursor.objects.all()}
        anchors = HistoryAnchor.objects.order_by("number")
        first = anchors.filter(recorded_at__gte=since).first() if since else None
        if since and first is None:
            before = anchors.last()
        else:
            before = anchors.filter(number__lt=first.number).last() if first else None
        self._after = before.number if before else 0
        self._previous = bytes(before.hash) if before else GENESIS
        self._begin = self._after
        self._partial = self._begin > 0
        self._heads: dict[int, tuple[int, bytes]] = {} if self._partial else dict.fromkeys(_NAMES, (0, GENESIS))
        self._first_ids: dict[int, int] = {}
        self._rows = 0

    def run(self) -> Iterator[Progress]:
        while anchors := self._next_anchors():
            finding = self._check_anchors(anchors) or self._check_rows(anchors)
            self._after = anchors[-1].number
            yield Progress(self._after, self._rows, finding)
            if finding:
                return
        finding = self._removed_anchor() or self._stray_seal() or self._lost_end() or self._inserted_row()
        yield Progress(self._after, self._rows, finding)

    # -- anchors ------------------------------------------------------------------------

    def _next_anchors(self) -> list[Anchor]:
        """Return the next anchors, as many as cover about ``_ROWS_AT_ONCE`` rows."""
        chosen: list[Anchor] = []
        rows = 0
        for row in HistoryAnchor.objects.filter(number__gt=self._after).order_by("number")[:_ANCHORS_AT_ONCE]:
            chosen.append(to_anchor(row))
            rows += row.rows
            if rows >= _ROWS_AT_ONCE:
                break
        return chosen

    def _check_anchors(self, anchors: Sequence[Anchor]) -> Finding | None:
        for expected, anchor in enumerate(anchors, start=self._after + 1):
            if anchor.number != expected:
                return _anchor_finding(Fault.ANCHOR_MISSING, expected, f"Anchor {anchor.number} follows.")
            copy = self._copies.get(anchor.number)
            if copy is not None and copy != anchor.hash.hex():
                detail = "Its hash is not the one that was written outside the database."
                return _anchor_finding(Fault.ANCHOR_CHANGED, anchor.number, detail)
            if not is_intact(anchor):
                return _anchor_finding(Fault.ANCHOR_CHANGED, anchor.number, "Its hash is not that of its fields.")
            if anchor.previous != self._previous:
                return _anchor_finding(Fault.ANCHOR_CHANGED, anchor.number, "It does not follow from the one before.")
            self._previous = anchor.hash
        return None

    def _removed_anchor(self) -> Finding | None:
        lost = sorted(number for number in self._copies if number > self._after)
        if not lost:
            return None
        return _anchor_finding(Fault.ANCHOR_MISSING, lost[0], "It was written outside the database and is gone here.")

    # -- rows ---------------------------------------------------------------------------

    def _check_rows(self, anchors: Sequence[Anchor]) -> Finding | None:
        sealed: dict[int, list[Sealed]] = defaultdict(list)
        for ledger in LEDGERS:
            for item in read_anchored(ledger, anchors[0].number, anchors[-1].number):
                sealed[item.anchor].append(item)
        for anchor in anchors:
            finding = self._check_anchored(anchor, sealed[anchor.number])
            if finding:
                return finding
            self._rows += anchor.rows
        return None

    def _check_anchored(self, anchor: Anchor, sealed: Sequence[Sealed]) -> Finding | None:
        by_name = {(item.ledger.code, item.row_id): item for item in sealed}
        marks = leaf_marks(anchor)
        for name in sorted({*marks, *by_name}):
            item, mark = by_name.get(name), marks.get(name)
            if item is None:
                return _unsealed(*name, anchor.number)
            finding = self._check_row(item, mark)
            if finding:
                return finding
        root = root_of([Leaf(code, row_id, by_name[code, row_id].hash) for code, row_id in marks])
        if root != anchor.root:
            return _anchor_finding(Fault.ANCHOR_CHANGED, anchor.number, "The seals it covers do not make its root.")
        return None

    def _check_row(self, item: Sealed, mark: bytes | None) -> Finding | None:
        self._first_ids.setdefault(item.ledger.code, item.row_id)
        return check_content(item, mark) or self._check_chain(item)

    def _check_chain(self, item: Sealed) -> Finding | None:
        if item.ledger.chain:
            return check_chain(item)
        number, expected = self._heads.get(item.ledger.code, (item.position - 1, item.previous))
        self._heads[item.ledger.code] = (item.position, item.hash)
        return check_place(item, number + 1, expected)

    # -- what no anchor covers ----------------------------------------------------------

    def _stray_seal(self) -> Finding | None:
        """A seal of no anchor is one that somebody put in: both are written in one transaction."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT ledger, row_id FROM brokers_event_seal s "
                "WHERE anchor > %s AND NOT EXISTS (SELECT FROM brokers_historyanchor a WHERE a.number = s.anchor) "
                "ORDER BY ledger, row_id LIMIT 1",
                [self._begin],
            )
            stray = cursor.fetchone()
        if stray is None:
            return None
        return Finding(
            Fault.SEAL_INSERTED, "brokers_event_seal", stray[1], f"No anchor covers this {_NAMES[stray[0]]}."
        )

    def _lost_end(self) -> Finding | None:
        """The row that sealing came to last is always there, with its seal."""
        for ledger in LEDGERS:
            cursor = self._cursors.get(ledger.code)
            if cursor is None or not cursor.sealed_id:
                continue
            with connection.cursor() as db:
                db.execute(
                    f"SELECT EXISTS (SELECT FROM {ledger.table} t JOIN brokers_event_seal s ON s.row_id = t.id "  # noqa: S608
                    "WHERE s.ledger = %s AND t.id = %s)",
                    [ledger.code, cursor.sealed_id],
                )
                (exists,) = db.fetchone()
            if not exists:
                detail = f"It is the last {ledger.name} that was sealed; its anchor is gone too."
                return Finding(Fault.ROW_MISSING, ledger.table, cursor.sealed_id, detail)
        return None

    def _inserted_row(self) -> Finding | None:
        for ledger in LEDGERS:
            cursor = self._cursors.get(ledger.code)
            first = self._first_ids.get(ledger.code, 0) if self._partial else 0
            if cursor is None or (self._partial and not first):
                continue
            row_id = _unsealed_row(ledger, first, cursor)
            if row_id is not None:
                detail = f"This {ledger.name} appeared among rows that were sealed without it."
                return Finding(Fault.ROW_INSERTED, ledger.table, row_id, detail)
        return None


def _unsealed_row(ledger: Ledger, first: int, cursor: SealCursor) -> int | None:
    """Return the first row without a seal where all are sealed, other than in gaps not given up yet."""
    sql = (
        f"SELECT t.id FROM {ledger.table} t LEFT JOIN brokers_event_seal s ON s.ledger = %s AND s.row_id = t.id "  # noqa: S608
        "WHERE t.id >= %s AND t.id <= %s AND s.row_id IS NULL "
        "AND NOT EXISTS (SELECT FROM unnest(%s::bigint[], %s::bigint[]) AS gap (a, b) "
        "WHERE t.id BETWEEN gap.a AND gap.b) ORDER BY t.id LIMIT 1"
    )
    firsts, lasts = [gap[0] for gap in cursor.gaps], [gap[1] for gap in cursor.gaps]
    with connection.cursor() as db:
        db.execute(sql, [ledger.code, first, cursor.sealed_id, firsts, lasts])
        row = db.fetchone()
    return None if row is None else int(row[0])


def _unsealed(code: int, row_id: int, anchor: int) -> Finding:
    """The anchor covers a row that has no seal; is the row itself still there?"""
    ledger = next(ledger for ledger in LEDGERS if ledger.code == code)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT EXISTS (SELECT FROM {ledger.table} WHERE id = %s)", [row_id])  # noqa: S608
        (exists,) = cursor.fetchone()
    if exists:
        return Finding(Fault.SEAL_MISSING, ledger.table, row_id, f"Anchor {anchor} covers its seal, which is gone.")
    return Finding(Fault.ROW_MISSING, ledger.table, row_id, f"Anchor {anchor} covers it; row and seal are gone.")


def _anchor_finding(fault: Fault, number: int, detail: str) -> Finding:
    return Finding(fault, "brokers_historyanchor", number, detail)
