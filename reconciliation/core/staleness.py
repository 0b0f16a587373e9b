"""How long a symbol may be silent: as long as it usually is, and a half more."""

import math
from collections.abc import Sequence

FEWEST = 200  # with fewer bars nothing is usual yet
LEAST, MOST = 2, 390  # slots: less is the jitter of any feed, more than a session's minutes is no staleness
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
    if len(lengths) < FEWEST:
        return None
    ordered = sorted(lengths)
    longest = ordered[min(len(ordered) - 1, math.ceil(_SHARE * len(ordered)) - 1)]
    return min(MOST, max(LEAST, math.ceil(_MARGIN * longest)))
