"""What counts of hits and misses prove: exact one-sided bounds, and quantiles of delays."""

import math
from collections.abc import Sequence

CONFIDENCE = 0.95
_ROUNDS = 100


def rate_at_least(hits: int, tries: int, confidence: float = CONFIDENCE) -> float:
    """Return the rate that ``hits`` of ``tries`` independent ones prove, at the confidence given.

    The lower bound of Clopper and Pearson: a smaller true rate gives as many hits with a probability below
    ``1 - confidence``. Without a try it is 0.
    """
    return 1.0 - rate_at_most(tries - hits, tries, confidence)


def rate_at_most(hits: int, tries: int, confidence: float = CONFIDENCE) -> float:
    """Return the rate that ``hits`` of ``tries`` are at most, at the confidence given; 1 without a try.

    Source:
        C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits", Biometrika 26, 1934.
    """
    if not 0 <= hits <= tries:
        raise ValueError("hits is from 0 to tries")
    if hits == tries:
        return 1.0
    low, high = hits / tries, 1.0
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(hits, tries, middle) > 1 - confidence else (low, middle)
    return high


def _at_most(hits: int, tries: int, rate: float) -> float:
    """Return the probability of at most ``hits`` of ``tries`` at a true rate."""
    if rate <= 0:
        return 1.0
    if rate >= 1:
        return 0.0
    log_rate, log_other, total = math.log(rate), math.log1p(-rate), math.lgamma(tries + 1)
    return math.fsum(
        math.exp(
            total
            - math.lgamma(count + 1)
            - math.lgamma(tries - count + 1)
            + count * log_rate
            + (tries - count) * log_other
        )
        for count in range(hits + 1)
    )


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least ``share`` of the values do not exceed; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
