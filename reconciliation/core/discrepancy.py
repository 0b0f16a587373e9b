"""What can differ between what we recorded and what the broker reports, and what can become of it."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID


class DiscrepancyKind(StrEnum):
    """Each kind has one meaning, whatever it is about.

    ``MISSING_HERE``: the broker has an order under an id of ours that is not recorded.
    ``MISSING_THERE``: an order recorded as open is none that the broker has.
    ``QUANTITY``: an ordered or filled quantity differs. ``PRICE``: a limit, execution or average price differs.
    ``STATE``: one side has the order open and the other does not, or they are about another symbol or side.
    ``UNKNOWN_FILL``: the broker reports an execution of an order of ours that is not booked.
    ``EXTERNAL``: an order or an execution of one that was placed elsewhere on the account.
    ``POSITION``: the quantity held differs. ``CASH``: the cash differs from what fills and cash entries explain.
    """

    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    QUANTITY = "quantity"
    PRICE = "price"
    STATE = "state"
    UNKNOWN_FILL = "unknown_fill"
    EXTERNAL = "external"
    POSITION = "position"
    CASH = "cash"


class SubjectType(StrEnum):
    """What a discrepancy is about; its subject is the broker's order id, the execution id, the symbol or the currency.

    ``BOOKING`` is an order whose own fills do not add up to what it says was filled: no broker is asked for that.
    """

    ORDER = "order"
    FILL = "fill"
    BOOKING = "booking"
    POSITION = "position"
    CASH = "cash"


class DiscrepancyState(StrEnum):
    """``SUSPECTED``: seen, and to be looked at again before there is a verdict. ``OPEN``: a verdict, not settled yet.

    ``VANISHED``: both sides agree again without anybody having settled it.
    """

    SUSPECTED = "suspected"
    OPEN = "open"
    RESOLVED = "resolved"
    VANISHED = "vanished"


UNSETTLED = (DiscrepancyState.SUSPECTED, DiscrepancyState.OPEN)


class Standing(StrEnum):
    """How far the broker's word goes beside ours: evidence only ever moves an order forward.

    ``AHEAD``: it tells more, so it can be taken over. ``APART``: neither side follows from the other.
    """

    AHEAD = "ahead"
    APART = "apart"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference as one look saw it: both sides as plain values, ``order_id`` where an order of ours is meant.

    ``is_in_flight``: something happened to its subject so recently that one side may not have heard of it yet.
    """

    kind: DiscrepancyKind
    subject_type: SubjectType
    subject: str
    symbol: str
    recorded: dict[str, Any] = field(default_factory=dict)
    reported: dict[str, Any] = field(default_factory=dict)
    order_id: UUID | None = None
    standing: Standing = Standing.APART
    is_in_flight: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two looks see the same difference."""
        return self.kind.value, self.subject_type.value, self.subject
