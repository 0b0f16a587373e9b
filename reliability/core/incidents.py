"""What an incident is: its states, how it is numbered and timed, and how the regulator wants instants written."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

GROUPING_WINDOW = timedelta(minutes=10)
LEAST_SEVERITY_RANK = 3  # alerts milder than medium make no incident of their own


class IncidentState(StrEnum):
    """From noticed to closed. Resolved: nothing of it is wrong any more; closed: somebody has looked back at it."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"
    CLOSED = "closed"


UNRESOLVED = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED, IncidentState.MITIGATED)


class IncidentKind(StrEnum):
    """A drill looks like an incident and is none: it is told apart everywhere."""

    REAL = "real"
    DRILL = "drill"


def rts24(value: datetime) -> str:
    """Return an aware instant as RTS 24 (EU 2017/580) writes it: ``YYYY-MM-DDThh:mm:ss.ddddddZ``."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
