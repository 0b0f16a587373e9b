"""Ids of new rows sort by the time they were made."""

import time
from uuid import UUID

from brokers.core.identifiers import uuid7


def test_ids_of_different_milliseconds_sort_by_time() -> None:
    made: list[UUID] = []
    for _ in range(20):
        made.append(uuid7())
        stamp = time.time_ns() // 1_000_000
        while time.time_ns() // 1_000_000 == stamp:
            pass
    assert made == sorted(made)


def test_an_id_is_a_version_7_uuid_that_carries_its_time() -> None:
    before = time.time_ns() // 1_000_000
    made = [uuid7() for _ in range(1000)]
    after = time.time_ns() // 1_000_000

    assert {(one.version, one.variant) for one in made} == {(7, "specified in RFC 4122")}
    assert all(before <= one.int >> 80 <= after for one in made)
    assert len(set(made)) == 1000
