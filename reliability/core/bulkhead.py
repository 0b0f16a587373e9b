"""How many calls to one dependency are under way at once, with places that are kept from others."""

import math
from dataclasses import dataclass

from reliability.core.rate_limit import Priority


@dataclass(frozen=True, slots=True)
class BulkheadLimit:
    """At most ``concurrent`` calls at once; a share ``reserve`` of the places is kept from normal ones.

    ``kept`` are groups of calls with places of their own: whoever is not of the group leaves them alone, so that
    no other calls, however many and however urgent, keep the group's from beginning. What a group begins beyond them
    takes the places of everybody.

    Raises:
        ValueError: ``concurrent`` is below 1, ``reserve`` outside [0, 1), or so many places are kept that none is
            left for the others.
    """

    concurrent: int
    reserve: float = 0.2
    kept: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        if self.concurrent < 1 or not 0 <= self.reserve < 1:
            raise ValueError("concurrent is at least 1 and reserve in [0, 1)")
        if any(places < 0 for _, places in self.kept) or sum(places for _, places in self.kept) >= self.concurrent:
            raise ValueError("kept places are at least 0 and fewer than there are")

    @property
    def open_to_all(self) -> int:
        """How many places normal work may fill; at least one, however small the whole."""
        return max(1, self.concurrent - math.ceil(self.concurrent * self.reserve))

    def admits(self, occupied: int, priority: Priority) -> bool:
        """Return whether one more call fits beside ``occupied`` others."""
        return occupied < self.places(priority)

    def places(self, priority: Priority, group: str = "") -> int:
        """Return how many places calls of ``priority`` and ``group`` may fill, were nobody else there."""
        others = sum(places for name, places in self.kept if name != group)
        return min(self.threshold(priority), self.concurrent - others)

    def threshold(self, priority: Priority) -> int:
        """Return how many places may be taken, by whomever, before calls of ``priority`` are turned away."""
        return self.open_to_all if priority is Priority.NORMAL else self.concurrent

    def zones(self, priority: Priority, group: str) -> tuple[tuple[str, int], ...]:
        """Return the zones a call may take a place in, in this order, by name, and how many it may fill of each.

        This divides the places for whoever counts them apart: those that are kept, and the rest for everybody.
        """
        own = tuple((name, places) for name, places in self.kept if name == group and places)
        rest = self.concurrent - sum(places for _, places in self.kept)
        return (*own, ("", min(self.threshold(priority), rest)))

    def share(self, processes: int) -> "BulkheadLimit":
        """Return the part of one of ``processes`` that do not hear of each other: at least one place each."""
        return BulkheadLimit(max(1, self.concurrent // processes), self.reserve)
