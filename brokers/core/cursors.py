"""From where to read a broker's fills the next time."""

from collections.abc import Sequence
from datetime import timedelta

from brokers.core.reports import FillReport

OVERLAP = timedelta(seconds=2)


def lagging_cursor(fills: Sequence[FillReport], previous: str) -> str:
    """Return the place of the last fill that is safely in the past, or ``previous``.

    A fill may be listed a little after a younger one, so the last two seconds before the
    newest fill are read again each time; fills are booked once whatever is read twice.
    """
    if not fills:
        return previous
    newest = max(fill.executed_at for fill in fills)
    settled = [fill.cursor for fill in fills if fill.cursor and fill.executed_at <= newest - OVERLAP]
    return settled[-1] if settled else previous
