"""Append what happened to something that people handle."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from reliability.core.correlation import current_correlation_id
from reliability.core.text import storable
from reliability.models import TimelineEntry


@dataclass(frozen=True, slots=True)
class Happening:
    """One change to be recorded; ``subject_kind`` is for example ``alert``, ``actor`` empty for the program."""

    subject_kind: str
    subject_id: int
    kind: str
    from_state: str = ""
    to_state: str = ""
    actor: str = ""
    reason: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


def record_timeline(happenings: Iterable[Happening]) -> None:
    """Append entries in the caller's transaction, in order, in one statement."""
    correlation_id = current_correlation_id()
    TimelineEntry.objects.bulk_create(
        TimelineEntry(
            subject_kind=one.subject_kind,
            subject_id=one.subject_id,
            kind=one.kind,
            from_state=one.from_state,
            to_state=one.to_state,
            actor=one.actor[:150],
            reason=storable(one.reason)[:1000],
            detail=storable(one.detail),
            correlation_id=correlation_id,
        )
        for one in happenings
    )
