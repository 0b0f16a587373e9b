"""How many calls to one dependency are under way at once, with places that normal calls may not take."""

import math
from dataclasses import dataclass

from reliability.core.rate_limit import Priority


@dataclass(frozen=True, slots=True)
class BulkheadLimit:
    """At most ``concurrent`` calls at once; a share ``reserve`` of the places is kept from normal ones.

    Raises:
        ValueError: ``concurrent`` is below 1 or ``reserve`` outside [0, 1).
    """

    concurrent: int
    reserve: float = 0.2

    def __post_init__(self) -> None:
        if self.concurrent < 1 or not 0 <= self.reserve < 1:
            raise ValueError("concurrent is at least 1 and reserve in [0, 1)")

    @property
    def open_to_all(self) -> int:
        """How many places normal work may fill; at least one, however small the whole."""
        return max(1, self.concurrent - math.ceil(self.concurrent * self.reserve))

    def admits(self, occupied: int, priority: Priority) -> bool:
        """Return whether one more call fits beside ``occupied`` others."""
        return occupied < self.places(priority)

    def places(self, priority: Priority) -> int:
        """Return how many places calls of ``priority`` may fill."""
        return self.open_to_all if priority is Priority.NORMAL else self.concurrent

    def share(self, processes: int) -> "BulkheadLimit":
        """Return the part of one of ``processes`` that do not hear of each other: at least one place each."""
        return BulkheadLimit(max(1, self.concurrent // processes), self.reserve)
