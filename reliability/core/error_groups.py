"""What people make of errors of one kind."""

from collections.abc import Sequence
from enum import StrEnum


class GroupState(StrEnum):
    """Open: wants attention. Snoozed: until a time or a number. Resolved: comes back as a regression. Merged: gone."""

    OPEN = "open"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"
    MERGED = "merged"


NEXT_RELEASE = "next"
_MOST_KEPT = 120


def within_window(met: Sequence[Sequence[float]], seconds: float) -> tuple[list[list[float]], int]:
    """Return which of ``met``, pairs of an instant and a number, are within the last ``seconds``, and their sum.

    The window ends with the latest of them. At most 120 pairs are kept: neighbours are put together, at the later
    instant, so that nothing leaves the window too early.
    """
    ordered = sorted((float(at), int(number)) for at, number in met)
    start = ordered[-1][0] - seconds if ordered else 0.0
    step = seconds / _MOST_KEPT
    kept: list[list[float]] = []
    for at, number in ordered:
        if at <= start:
            continue
        if kept and at - kept[-1][0] < step:
            kept[-1] = [at, kept[-1][1] + number]
        else:
            kept.append([at, number])
    return kept, int(sum(number for _, number in kept))
