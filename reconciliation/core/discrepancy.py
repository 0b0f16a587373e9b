"""What can differ between what we recorded and what the broker reports, and what can become of it."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID


class DiscrepancyKind(StrEnum):
    """Each kind has one meaning, whatever it is about.

    ``MISSING_HERE``: the broker has an order under an id of ours that is not recorded.
    ``MISSING_THERE``: an order recorded as open is none that the broker has.
    ``QUANTITY``: ordered or filled quantity differs. ``PRICE``: a limit, execution or average price differs.
    ``STATE``: one side has the order open and the other does not, or symbol or side differ.
    ``UNKNOWN_FILL``: the broker reports an execution of an order of ours that is not booked.
    ``EXTERNAL``: an order or execution that was placed elsewhere on the account.
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
    """What a discrepancy is about; its subject is named by the broker's order id, execution id, symbol or currency."""

    ORDER = "order"
    FILL = "fill"
    POSITION = "position"
    CASH = "cash"


class DiscrepancyState(StrEnum):
    """``SUSPECTED``: seen once, activity was in flight. ``OPEN``: a verdict, and nobody has settled it yet."""

    SUSPECTED = "suspected"
    OPEN = "open"
    RESOLVED = "resolved"
    VANISHED = "vanished"


UNSETTLED = (DiscrepancyState.SUSPECTED, DiscrepancyState.OPEN)


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference as one look saw it: both sides as plain values, ``order_id`` where an order of ours is meant."""

    kind: DiscrepancyKind
    subject_type: SubjectType
    subject: str
    symbol: str
    recorded: dict[str, Any] = field(default_factory=dict)
    reported: dict[str, Any] = field(default_factory=dict)
    order_id: UUID | None = None
    is_in_flight: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two looks see the same difference."""
        return self.kind.value, self.subject_type.value, self.subject
