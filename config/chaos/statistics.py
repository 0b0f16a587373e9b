"""The few figures that a table of times shows, and what a number of tries can say at all."""

from collections.abc import Sequence
from math import comb, inf

CONFIDENCE = 0.95


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of the values do not exceed; they must not be empty."""
    ordered = sorted(values)
    rank = -int(-share * len(ordered) // 1)
    return ordered[max(0, min(len(ordered), rank) - 1)]


def upper_bound(misses: int, tries: int, confidence: float = CONFIDENCE) -> float:
    """Return the highest miss rate that ``misses`` in ``tries`` leave possible, one-sided and exact (Clopper-Pearson).

    Source:
        C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits", Biometrika 26, 1934.
    """
    if tries == 0 or misses >= tries:
        return 1.0
    low, high = misses / tries, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        seen = sum(comb(tries, k) * middle**k * (1 - middle) ** (tries - k) for k in range(misses + 1))
        low, high = (middle, high) if seen > 1 - confidence else (low, middle)
    return high


def shown(seconds: float) -> str:
    """Return seconds for a table: ``0.034``, ``1.52``, ``never``."""
    if seconds == inf:
        return "never"
    return f"{seconds:.3f}" if seconds < 1 else f"{seconds:.2f}"
