"""What is done about a difference once there is a verdict: a table, and the reason beside each row."""

from dataclasses import dataclass
from enum import StrEnum

from reconciliation.core.discrepancy import DiscrepancyKind, Standing


class Resolution(StrEnum):
    """What is done: the first five by the program, the last two are what a person decided.

    ``ADOPT`` merges the broker's report as evidence, ``BOOK`` books its executions; both only move forward.
    ``REORDER`` reckons a position again from its executions in the order they happened. ``PERSON`` hands it
    to a person, ``FREEZE`` also stops trading of the symbol until then. ``ADJUST`` books an explicit change of
    the position or the cash, ``ACCEPT`` leaves everything as it is.
    """

    ADOPT = "adopt"
    BOOK = "book"
    REORDER = "reorder"
    PERSON = "person"
    FREEZE = "freeze"
    ADJUST = "adjust"
    ACCEPT = "accept"


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done about one kind of difference, and why."""

    resolution: Resolution
    why: str


_RULES: dict[tuple[DiscrepancyKind, Standing], Rule] = {
    (DiscrepancyKind.STATE, Standing.AHEAD): Rule(
        Resolution.ADOPT, "The broker's report is evidence of what happened."
    ),
    (DiscrepancyKind.QUANTITY, Standing.AHEAD): Rule(Resolution.BOOK, "The broker executed more than was booked."),
    (DiscrepancyKind.PRICE, Standing.AHEAD): Rule(
        Resolution.REORDER, "Executions had arrived in another order than they happened."
    ),
    (DiscrepancyKind.UNKNOWN_FILL, Standing.AHEAD): Rule(
        Resolution.BOOK, "An execution is a fact: the position moved."
    ),
}
_BY_KIND: dict[DiscrepancyKind, Rule] = {
    DiscrepancyKind.MISSING_HERE: Rule(Resolution.FREEZE, "The broker works an order of ours that is not recorded."),
    DiscrepancyKind.MISSING_THERE: Rule(Resolution.FREEZE, "Nobody can say what became of the order."),
    DiscrepancyKind.QUANTITY: Rule(Resolution.FREEZE, "The quantities differ, and no evidence explains why."),
    DiscrepancyKind.PRICE: Rule(Resolution.PERSON, "The quantity is right, so what may be traded is known."),
    DiscrepancyKind.STATE: Rule(Resolution.FREEZE, "The order is open on one side only, or ended in two ways."),
    DiscrepancyKind.UNKNOWN_FILL: Rule(Resolution.FREEZE, "An execution cannot be booked."),
    DiscrepancyKind.EXTERNAL: Rule(Resolution.FREEZE, "Somebody else trades this symbol on the account."),
    DiscrepancyKind.POSITION: Rule(Resolution.FREEZE, "What is held is not known."),
    DiscrepancyKind.CASH: Rule(Resolution.PERSON, "Fees, dividends and transfers change cash without an execution."),
}


def rule_for(kind: DiscrepancyKind, standing: Standing = Standing.APART) -> Rule:
    """Return what is done about a difference; what no row names is never settled by the program alone."""
    return _RULES.get((kind, standing), _BY_KIND[kind])
