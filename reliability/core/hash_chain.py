"""Chains of hashes over append-only rows, and anchors over what was sealed together.

A seal is the SHA-256 of one row's content and of the seal before it, so that a row changed,
taken out or put in breaks what follows. An anchor covers everything sealed in one pass and
the anchor before it; anchors are copied out of the database, and a copy outside finds what
somebody recomputed inside.

Form 1 of a row's content: the JSON array of its columns, in the order its ledger names
them, as PostgreSQL's ``json_build_array`` writes it with the time zone UTC. Form 1 of a
seal: SHA-256 over ``stanchion/1|ledger|row id|position|``, the 32 bytes of the previous
seal (zeros for the first) and the content in UTF-8.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

FORM = 1
GENESIS = bytes(32)
_MARK_BYTES = 4


@dataclass(frozen=True, slots=True)
class Ledger:
    """One append-only table and its place in the seals.

    ``code`` names it in the seals for good. ``columns`` are what its content is made of, in
    this order. Rows with the same ``chain`` column are a chain of their own, numbered from 1
    without gaps by ``place``; without one the whole table is one chain, in sealing order.
    """

    code: int
    name: str
    table: str
    columns: tuple[str, ...]
    chain: str = ""
    place: str = ""


class Leaf(NamedTuple):
    """One sealed row as its anchor sees it."""

    ledger: int
    row_id: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Anchor:
    """What one sealing pass covered.

    ``contents`` is canonical JSON: for each ledger code the ranges of row ids, in order.
    ``marks`` are the first four bytes of every seal in the same order, so that a seal
    recomputed later is named and not only noticed. ``root`` is over the whole seals.
    """

    number: int
    recorded_at: datetime
    rows: int
    previous: bytes
    root: bytes
    contents: str
    marks: bytes
    hash: bytes


class Fault(StrEnum):
    """What is wrong with a row, a seal or an anchor."""

    CONTENT_CHANGED = "content changed"
    ROW_MISSING = "row missing"
    ROW_INSERTED = "row inserted"
    SEAL_MISSING = "seal missing"
    SEAL_INSERTED = "seal inserted"
    SEAL_CHANGED = "seal changed"
    CHAIN_CUT = "chain cut"
    ANCHOR_CHANGED = "anchor changed"
    ANCHOR_MISSING = "anchor missing"


def seal_hash(ledger: int, row_id: int, position: int, previous: bytes, content: str, form: int = FORM) -> bytes:
    """Return the seal of one row: 32 bytes.

    Raises:
        ValueError: ``form`` is not one this version knows, or ``previous`` is not 32 bytes.
    """
    if form != FORM or len(previous) != len(GENESIS):
        raise ValueError(f"no seal of form {form} over a previous seal of {len(previous)} bytes")
    head = f"stanchion/{form}|{ledger}|{row_id}|{position}|".encode()
    return hashlib.sha256(head + previous + content.encode()).digest()


def make_anchor(number: int, recorded_at: datetime, previous: bytes, leaves: Iterable[Leaf]) -> Anchor:
    """Return the anchor over these seals, in any order; raises ``ValueError`` when there are none."""
    ordered = sorted(leaves)
    if not ordered:
        raise ValueError("an anchor covers at least one seal")
    contents = json.dumps(
        {str(code): id_ranges([leaf.row_id for leaf in ordered if leaf.ledger == code]) for code in _codes(ordered)},
        separators=(",", ":"),
    )
    marks = b"".join(leaf.hash[:_MARK_BYTES] for leaf in ordered)
    root = root_of(ordered)
    digest = anchor_hash(number, recorded_at, len(ordered), previous, root, contents, marks)
    return Anchor(number, recorded_at, len(ordered), previous, root, contents, marks, digest)


def anchor_hash(
    number: int, recorded_at: datetime, rows: int, previous: bytes, root: bytes, contents: str, marks: bytes
) -> bytes:
    """Return the hash of an anchor's own fields: 32 bytes. ``recorded_at`` counts to the microsecond."""
    stamp = recorded_at.astimezone(UTC).isoformat(timespec="microseconds")
    digest = hashlib.sha256(f"stanchion-anchor/{FORM}|{number}|{stamp}|{rows}|".encode())
    digest.update(previous + root + hashlib.sha256(contents.encode()).digest() + hashlib.sha256(marks).digest())
    return digest.digest()


def root_of(ordered: Sequence[Leaf]) -> bytes:
    """Return the hash over whole seals, which are sorted by ledger and row."""
    digest = hashlib.sha256()
    for leaf in ordered:
        digest.update(f"{leaf.ledger}|{leaf.row_id}|".encode() + leaf.hash)
    return digest.digest()


def is_intact(anchor: Anchor) -> bool:
    """Return whether an anchor's hash is that of its own fields."""
    expected = anchor_hash(
        anchor.number, anchor.recorded_at, anchor.rows, anchor.previous, anchor.root, anchor.contents, anchor.marks
    )
    return anchor.hash == expected


def leaf_marks(anchor: Anchor) -> dict[tuple[int, int], bytes]:
    """Return the mark of each row an intact anchor covers, by ledger and row id, in order."""
    covered: Mapping[str, list[list[int]]] = json.loads(anchor.contents)
    names = [
        (int(code), row_id)
        for code, ranges in covered.items()
        for first, last in ranges
        for row_id in range(first, last + 1)
    ]
    marks = [anchor.marks[at : at + _MARK_BYTES] for at in range(0, len(anchor.marks), _MARK_BYTES)]
    return dict(zip(names, marks, strict=True))


def marks_of(anchor: Anchor, names: Iterable[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """Return the marks of some rows, by ledger and row id, without reading all; those not covered are left out."""
    covered: Mapping[str, list[list[int]]] = json.loads(anchor.contents)
    runs: dict[int, list[tuple[int, int, int]]] = {}
    before = 0
    for code, ranges in covered.items():
        for first, last in ranges:
            runs.setdefault(int(code), []).append((first, last, before))
            before += last - first + 1
    found: dict[tuple[int, int], bytes] = {}
    for ledger, row_id in names:
        for first, last, count in runs.get(ledger, ()):
            if first <= row_id <= last:
                at = (count + row_id - first) * _MARK_BYTES
                found[ledger, row_id] = anchor.marks[at : at + _MARK_BYTES]
    return found


def is_marked(mark: bytes, seal: bytes) -> bool:
    """Return whether a seal is the one its anchor's mark was taken of."""
    return seal[:_MARK_BYTES] == mark


def id_ranges(ids: Sequence[int]) -> list[list[int]]:
    """Return ascending ids as ``[first, last]`` ranges, both ends included."""
    ranges: list[list[int]] = []
    for number in ids:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges


def missing_ranges(after: int, ids: Sequence[int]) -> list[list[int]]:
    """Return the ids left out between ``after`` and the last of ``ids`` (ascending), as ranges."""
    missing: list[list[int]] = []
    expected = after + 1
    for number in ids:
        if number > expected:
            missing.append([expected, number - 1])
        expected = max(expected, number + 1)
    return missing


def _codes(ordered: Sequence[Leaf]) -> list[int]:
    return list(dict.fromkeys(leaf.ledger for leaf in ordered))
