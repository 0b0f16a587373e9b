"""How long what is kept for: which pieces of a table are old enough to go, and what stops that."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Fate(StrEnum):
    """What is to become of a piece."""

    KEPT = "kept"
    DUE = "due"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows that go together, a day or a month of a table: from ``starts_at`` up to, not including, ``ends_at``."""

    name: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold: nothing of ``kind`` (of every kind if empty) that is of this time may go.

    ``ends_at`` None covers everything from ``starts_at`` on.
    """

    id: int
    kind: str
    starts_at: datetime
    ends_at: datetime | None

    def covers(self, kind: str, starts_at: datetime, ends_at: datetime) -> bool:
        """Return whether the hold keeps anything of ``kind`` between the two instants."""
        if self.kind not in ("", kind):
            return False
        return self.starts_at < ends_at and (self.ends_at is None or self.ends_at > starts_at)


@dataclass(frozen=True, slots=True)
class Judged:
    """A piece with its fate; ``holds`` are the ids of the legal holds that keep it."""

    piece: Piece
    fate: Fate
    holds: tuple[int, ...] = ()


def judge_pieces(
    kind: str, pieces: Iterable[Piece], keep_days: int | None, holds: Sequence[Hold], now: datetime
) -> list[Judged]:
    """Return the fate of each piece, oldest first: whole pieces go, and only when all of one is old enough.

    Args:
        keep_days: For how many days after its end a piece is kept; None keeps it for good.
    """
    judged = []
    for piece in sorted(pieces, key=lambda one: (one.starts_at, one.name)):
        if keep_days is None or piece.ends_at > now - timedelta(days=keep_days):
            judged.append(Judged(piece, Fate.KEPT))
            continue
        held_by = tuple(hold.id for hold in holds if hold.covers(kind, piece.starts_at, piece.ends_at))
        judged.append(Judged(piece, Fate.HELD if held_by else Fate.DUE, held_by))
    return judged
