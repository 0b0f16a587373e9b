"""How long a symbol may be silent: as long as it usually is, and a half more.

Bars are counted in the slots that had none, quotes and trades in seconds.
"""

import math
from collections.abc import Sequence

FEWEST = 200  # with fewer of them nothing is usual yet
LEAST, MOST = 2, 390  # slots: less is the jitter of any feed, more than a session's minutes is no staleness
LEAST_SECONDS, MOST_SECONDS = 30, 7_200  # less is a restart of our own, more is a pause of trading
_SHARE = 0.999
_MARGIN = 1.5


def usual_quiet(lengths: Sequence[int]) -> int | None:
    """Return how many expected slots in a row may pass without a bar before that is unusual for a symbol.

    Args:
        lengths: Between each two bars after each other, how many expected slots had none; 0 for neighbours.

    Returns:
        Half as much again as all but one in a thousand of them, from ``LEAST`` to ``MOST``; None with fewer than
        ``FEWEST``.
    """
    longest = _longest_usual(lengths)
    return None if longest is None else min(MOST, max(LEAST, math.ceil(_MARGIN * longest)))


def usual_seconds(silences: Sequence[float]) -> int | None:
    """Return how many seconds without a quote or trade are not unusual for a symbol.

    Args:
        silences: The seconds between each two of them after each other.

    Returns:
        Half as much again as all but one in a thousand, from ``LEAST_SECONDS`` to ``MOST_SECONDS``; None with fewer
        than ``FEWEST``.
    """
    longest = _longest_usual(silences)
    return None if longest is None else min(MOST_SECONDS, max(LEAST_SECONDS, math.ceil(_MARGIN * longest)))


def _longest_usual(lengths: Sequence[float]) -> float | None:
    if len(lengths) < FEWEST:
        return None
    return sorted(lengths)[min(len(lengths) - 1, math.ceil(_SHARE * len(lengths)) - 1)]
