"""One measurement of a number that was asked for: what came out, and what so many tries can prove. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from config.seed_numbers.asked import Asked, Kind
from config.simulation.statistics import CONFIDENCE, rate_at_most

PROVEN_SHARE = 0.95
"""Of a time: the share of cases that a measurement must show to stay below the limit."""


class Verdict(StrEnum):
    MET = "met"
    TOO_FEW = "met so far, too few tries"
    MISSED = "**missed**"


@dataclass(frozen=True, slots=True)
class Source:
    """Where figures come from, as their file says it; empty where it does not."""

    file: str
    command: str = ""
    day: str = ""
    commit: str = ""
    machine: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Of ``n`` cases ``misses`` went wrong or took too long; ``at_least`` so many where the file has no count."""

    key: str
    what: str
    n: int
    misses: int
    source: Source
    figures: str = ""
    at_least: bool = False


def judge(asked: Asked, one: Measurement) -> Verdict:
    """Return whether the number is met: by every case, and by enough of them to say so."""
    if asked.kind in (Kind.AT_LEAST, Kind.AT_MOST):
        allowed = 1 - asked.limit if asked.kind is Kind.AT_LEAST else asked.limit
        if one.misses > allowed * one.n:
            return Verdict.MISSED
        return Verdict.MET if miss_rate_at_most(one) <= allowed else Verdict.TOO_FEW
    if one.misses:
        return Verdict.MISSED
    if asked.kind is Kind.LONGEST and miss_rate_at_most(one) > 1 - PROVEN_SHARE:
        return Verdict.TOO_FEW
    return Verdict.MET


def miss_rate_at_most(one: Measurement) -> float:
    """Return the highest true rate of misses that these tries leave possible, one-sided, exact (Clopper-Pearson)."""
    return rate_at_most(min(one.misses, one.n), one.n)


def bound(asked: Asked, one: Measurement) -> str:
    """Return what the tries prove at 95 % confidence, as a phrase."""
    if one.at_least:
        return "only that it happens"
    if asked.kind is Kind.EACH:
        return "no sample: each is tried"
    worst = miss_rate_at_most(one)
    if asked.kind is Kind.LONGEST:
        return f"{share(1 - worst, down=True)} of cases stay below {asked.limit:g} s"
    if asked.kind is Kind.AT_LEAST:
        return f"at least {share(1 - worst, down=True)}"
    return f"at most {share(worst, down=False)}"


def share(part: float, *, down: bool) -> str:
    """Return a share in per cent, rounded to the careful side: ``99.90 %`` for 0.999002 and down."""
    digits = 2 if 0.01 <= part <= 0.99 or part in (0.0, 1.0) else 4
    scaled = part * 100 * 10**digits
    whole = int(scaled) if down else -int(-scaled // 1)
    return f"{whole / 10**digits:.{digits}f}".rstrip("0").rstrip(".") + " %"


def tries_for(share_proven: float) -> int:
    """Return how many tries without a miss prove such a share at 95 % confidence: 59 for 0.95, 2,995 for 0.999."""
    tries, left = 0, 1.0
    while left > 1 - CONFIDENCE:
        tries, left = tries + 1, left * share_proven
    return tries
