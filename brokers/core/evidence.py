"""Merging what the broker says into an order: in any order and any number of times, the same result."""

from dataclasses import dataclass, replace
from decimal import Decimal

from brokers.core.orders import STATE_RANK, OrderState
from brokers.core.reports import OrderReport, ReportedStatus

_STATUS_RANK = {status: rank for rank, status in enumerate(ReportedStatus)}
_UNFILLED_ENDS = frozenset(
    {ReportedStatus.REJECTED, ReportedStatus.REPLACED, ReportedStatus.EXPIRED, ReportedStatus.CANCELED}
)


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """The part of an order that evidence moves.

    ``reported_status`` and ``reported_filled_quantity`` are the furthest evidence so far;
    ``filled_quantity`` is what was booked from fills.
    """

    state: OrderState
    quantity: Decimal | None
    broker_order_id: str = ""
    reported_status: ReportedStatus | None = None
    reported_filled_quantity: Decimal = Decimal(0)
    filled_quantity: Decimal = Decimal(0)
    cancel_pending: bool = False


def further_status(one: ReportedStatus, other: ReportedStatus) -> ReportedStatus:
    """Return which of two statuses of one order is the later in its life."""
    return max(one, other, key=_STATUS_RANK.__getitem__)


def merge_report(facts: OrderFacts, report: OrderReport) -> OrderFacts:
    """Return ``facts`` after one report; older or repeated reports change nothing.

    An end that was reported once counts for good, also beside a report of "filled": a broker that
    contradicts itself gives the same order whichever was heard first.
    """
    status = report.status if facts.reported_status is None else further_status(facts.reported_status, report.status)
    merged = replace(
        facts,
        broker_order_id=facts.broker_order_id or report.broker_order_id,
        reported_status=status,
        reported_filled_quantity=max(facts.reported_filled_quantity, report.filled_quantity),
    )
    end = report.status.state if report.status in _UNFILLED_ENDS else merged.state
    return replace(merged, state=max(derive_state(merged), end, key=STATE_RANK.__getitem__))


def merge_fill(facts: OrderFacts, quantity: Decimal, broker_order_id: str) -> OrderFacts:
    """Return ``facts`` after one execution that was not booked before."""
    merged = replace(
        facts,
        broker_order_id=facts.broker_order_id or broker_order_id,
        filled_quantity=facts.filled_quantity + quantity,
    )
    return replace(merged, state=derive_state(merged))


def derive_state(facts: OrderFacts) -> OrderState:
    """Return the state that the evidence so far amounts to, never one of lower rank.

    An order becomes filled in the moment its last fill is booked, so that order and
    position always move together; until then a report of "filled" leaves it open.
    """
    evidence = _state_by_evidence(facts)
    if evidence is None or STATE_RANK[evidence] < STATE_RANK[facts.state]:
        return facts.state
    return evidence


def _state_by_evidence(facts: OrderFacts) -> OrderState | None:
    booked, status = facts.filled_quantity, facts.reported_status
    if facts.quantity is not None and booked >= facts.quantity:
        return OrderState.FILLED
    if status is ReportedStatus.FILLED:
        if 0 < facts.reported_filled_quantity <= booked:
            return OrderState.FILLED
    elif status is not None and STATE_RANK[status.state] > STATE_RANK[OrderState.PARTIALLY_FILLED]:
        return status.state
    if booked > 0:
        return OrderState.PARTIALLY_FILLED
    return OrderState.WORKING if status is not None else None


def fills_are_missing(facts: OrderFacts) -> bool:
    """Return whether the broker reported more filled than was booked."""
    return facts.reported_filled_quantity > facts.filled_quantity
