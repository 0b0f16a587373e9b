"""What an alert can be, and what belongs to one incident."""

from datetime import timedelta
from enum import StrEnum

FLAP_WINDOW = timedelta(minutes=10)
FLAP_THRESHOLD = "comes_back_seconds"
FLAPS_UNTIL_QUIET = 3  # from then on it comes and goes: nobody is told each time, unless it is critical
LONGEST_SCOPE = 200


class AlertState(StrEnum):
    """Open, seen by somebody, or over. Only resolved is final."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


def subject_of(scope: str) -> str:
    """Return what a scope is about: ``account:sim-a/symbol:AAPL`` and ``circuit:sim-a:orders`` are about sim-a.

    It is what comes after the scope's kind, up to the next separator: alerts about it and of one failure domain
    belong together.
    """
    _, found, rest = scope.partition(":")
    name = rest if found else scope
    for separator in ("/", ":"):
        name = name.partition(separator)[0]
    return name or scope
