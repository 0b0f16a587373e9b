"""Seals and anchors: whatever is changed in what they cover shows."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core.hash_chain import (
    GENESIS,
    Leaf,
    id_ranges,
    is_intact,
    is_marked,
    leaf_marks,
    make_anchor,
    marks_of,
    missing_ranges,
    root_of,
    seal_hash,
)

AT = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
ids = st.integers(1, 200)
hashes = st.binary(min_size=32, max_size=32)
leaves = st.dictionaries(st.tuples(st.integers(1, 5), ids), hashes, min_size=1).map(
    lambda found: [Leaf(ledger, row_id, digest) for (ledger, row_id), digest in found.items()]
)


def test_the_form_of_a_seal_is_fixed() -> None:
    """Seals written by any version must be read by every later one."""
    digest = seal_hash(1, 42, 3, GENESIS, '[42, "é"]')

    assert digest.hex() == "5e37ee3b6807adf3348f4fbb6022dbbcbba180707a9d48aba82188139f59a302"


def test_a_form_or_a_predecessor_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="form 2"):
        seal_hash(1, 1, 1, GENESIS, "[]", form=2)
    with pytest.raises(ValueError, match="3 bytes"):
        seal_hash(1, 1, 1, b"abc", "[]")


@given(st.tuples(ids, ids, ids, hashes, st.text()), st.tuples(ids, ids, ids, hashes, st.text()))
def test_seals_of_different_rows_differ(one: tuple, other: tuple) -> None:
    assert (seal_hash(*one) == seal_hash(*other)) == (one == other)


@given(leaves, st.randoms(use_true_random=False))
def test_an_anchor_is_the_same_in_whatever_order_rows_come_and_knows_each(found: list[Leaf], random) -> None:
    shuffled = random.sample(found, len(found))
    anchor = make_anchor(7, AT, GENESIS, found)

    assert anchor == make_anchor(7, AT, GENESIS, shuffled)
    assert is_intact(anchor)
    marks = leaf_marks(anchor)
    assert set(marks) == {(leaf.ledger, leaf.row_id) for leaf in found}
    assert all(is_marked(marks[leaf.ledger, leaf.row_id], leaf.hash) for leaf in found)
    ordered = sorted(found, key=lambda leaf: (leaf.ledger, leaf.row_id))
    assert root_of(ordered) == anchor.root


@given(leaves)
def test_no_field_of_an_anchor_can_be_changed_unseen(found: list[Leaf]) -> None:
    anchor = make_anchor(7, AT, GENESIS, found)
    changes = {
        "number": 8,
        "recorded_at": AT + timedelta(microseconds=1),
        "rows": anchor.rows + 1,
        "previous": bytes(31) + b"\1",
        "root": bytes(32),
        "contents": anchor.contents + " ",
        "marks": anchor.marks + b"1234",
    }
    for name, value in changes.items():
        assert not is_intact(replace(anchor, **{name: value})), name


def test_an_anchor_over_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        make_anchor(1, AT, GENESIS, [])


@given(st.integers(0, 50), st.sets(st.integers(51, 120)).map(sorted))
def test_ranges_hold_what_is_there_and_what_is_missing_once_each(after: int, found: list[int]) -> None:
    def spread(ranges: list[list[int]]) -> list[int]:
        return [number for first, last in ranges for number in range(first, last + 1)]

    assert spread(id_ranges(found)) == found
    every = spread(missing_ranges(after, found)) + found
    assert sorted(every) == (list(range(after + 1, found[-1] + 1)) if found else [])


@given(leaves, st.lists(st.tuples(st.integers(1, 6), st.integers(0, 202)), max_size=20))
def test_marks_read_by_name_are_those_read_together(found: list[Leaf], others: list[tuple[int, int]]) -> None:
    anchor = make_anchor(7, AT, GENESIS, found)
    together = leaf_marks(anchor)

    assert marks_of(anchor, together) == together
    assert marks_of(anchor, others) == {name: together[name] for name in others if name in together}
    assert marks_of(anchor, []) == {}


def test_ids_that_follow_one_another_are_one_range() -> None:
    assert id_ranges([1, 2, 3, 7, 9, 10]) == [[1, 3], [7, 7], [9, 10]]
    assert missing_ranges(3, [4, 6, 7, 10]) == [[5, 5], [8, 9]]


def test_the_form_of_an_anchor_is_fixed_whatever_the_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    leaves = [Leaf(1, number, bytes(32)) for number in (1, 2)]
    before = make_anchor(1, AT, GENESIS, leaves)
    assert before.contents == '{"1":[[1,2]]}'
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert make_anchor(1, AT, GENESIS, leaves) == before
    finally:
        monkeypatch.undo()
        time.tzset()
