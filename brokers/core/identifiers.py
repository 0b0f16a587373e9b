"""Ids for new rows."""

import os
import time
from uuid import UUID


def uuid7() -> UUID:
    """Return a new version-7 UUID: ordered by time to the millisecond, random beyond.

    Source: RFC 9562, section 5.7.
    """
    stamp = time.time_ns() // 1_000_000
    value = (stamp & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def seconds_of(value: UUID) -> float:
    """Return when a version-7 UUID was made, in seconds since 1970, to the millisecond."""
    return (value.int >> 80) / 1000


def earliest_uuid7(seconds: float) -> UUID:
    """Return the least version-7 UUID of an instant, in seconds since the epoch: no later one is smaller."""
    return UUID(int=(int(seconds * 1000) & 0xFFFF_FFFF_FFFF) << 80)
