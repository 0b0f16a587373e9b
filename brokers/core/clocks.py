"""How far another clock provably is from ours, by the date of an answer: whole seconds prove less than they say."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_SECOND = timedelta(seconds=1)


def proven_offset(date: str, sent_at: datetime, received_at: datetime) -> timedelta | None:
    """Return how far the clock of whoever answered is at least ahead of ours, negative when it is behind.

    The date was written between sending and receiving, in some moment of the second it names. Whatever offset
    would explain it without any is taken for none, so a slow answer proves nothing.

    Args:
        date: The ``Date`` of an HTTP answer.
        sent_at: When the question left, by our clock.
        received_at: When the answer was here.

    Returns:
        Zero where the clocks may agree; None where the date is none.
    """
    try:
        stamp = parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return None
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=UTC)
    ahead, behind = stamp - received_at, stamp + _SECOND - sent_at
    if ahead > timedelta(0):
        return ahead
    return min(behind, timedelta(0))
