"""What people make of errors of one kind."""

from enum import StrEnum


class GroupState(StrEnum):
    """Open: wants attention. Snoozed: until a time or a number. Resolved: comes back as a regression. Merged: gone."""

    OPEN = "open"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"
    MERGED = "merged"
