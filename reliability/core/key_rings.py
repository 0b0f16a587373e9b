"""How the secrets of an installation stand to its keys."""

from dataclasses import dataclass
from enum import StrEnum


class KeyState(StrEnum):
    """Newest: the first configured key opens it. Older: another one does. Unreadable: none does. Empty: not set."""

    NEWEST = "newest"
    OLDER = "older"
    UNREADABLE = "unreadable"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """One secret at rest: what it belongs to, and which key opens it. The secret itself is not here."""

    owner: str
    state: KeyState
