"""Orders as one connection heard of them, and submissions that wait to hear of theirs."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

REMEMBERED = 20_000


@dataclass(slots=True)
class KnownOrder:
    """The latest that an order's messages said."""

    perm_id: int
    client_id: int
    order_id: int
    contract: Any
    order: Any
    status: str = ""
    filled: float = 0.0
    average_price: float = 0.0


@dataclass(slots=True)
class Submission:
    """An order on its way: what arrived of its acknowledgement so far.

    ``has_status`` once a status message came, the only kind that tells what was filled.
    """

    client_order_id: str
    outcome: asyncio.Future[KnownOrder]
    known: KnownOrder | None = None
    status: str = ""
    has_status: bool = False
    error: tuple[int, str] | None = None


@dataclass
class OrderMemory:
    """Orders by permanent id, the oldest forgotten first."""

    by_perm_id: OrderedDict[int, KnownOrder] = field(default_factory=OrderedDict)

    def put(self, known: KnownOrder) -> None:
        self.by_perm_id[known.perm_id] = known
        self.by_perm_id.move_to_end(known.perm_id)
        if len(self.by_perm_id) > REMEMBERED:
            self.by_perm_id.popitem(last=False)

    def find(self, perm_id: int) -> KnownOrder | None:
        return self.by_perm_id.get(perm_id)
