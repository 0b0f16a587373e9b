"""What changes a position without an execution: splits, new symbols, and corrections by hand."""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

from brokers.core.positions import PositionFacts

_STEP = Decimal("0.000000000001")


class PositionChangeKind(StrEnum):
    """Why a position changed without an execution; each is an event with a reason and a person.

    ``REORDERED``: its executions had arrived in another order than they happened, which decides the average
    price and the profit realized, but never the quantity.
    """

    ADJUSTMENT = "adjustment"
    SPLIT = "split"
    SYMBOL_CHANGE = "symbol_change"
    REORDERED = "reordered"


class CashEntryKind(StrEnum):
    """Why cash changed without an execution."""

    DIVIDEND = "dividend"
    INTEREST = "interest"
    FEE = "fee"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    ADJUSTMENT = "adjustment"


# The sign that an amount of each kind must have; an adjustment may have either.
CASH_SIGNS: dict[CashEntryKind, int] = {
    CashEntryKind.DIVIDEND: 1,
    CashEntryKind.INTEREST: 0,
    CashEntryKind.FEE: -1,
    CashEntryKind.DEPOSIT: 1,
    CashEntryKind.WITHDRAWAL: -1,
    CashEntryKind.ADJUSTMENT: 0,
}


def cash_problem(kind: CashEntryKind, amount: Decimal) -> str:
    """Return what is wrong with an amount of this kind, empty when nothing is."""
    sign = CASH_SIGNS[kind]
    if amount == 0 or (sign and (amount > 0) != (sign > 0)):
        wanted = {1: "above 0", -1: "below 0", 0: "other than 0"}[sign]
        return f"The amount of a {kind.value} is {wanted}."
    return ""


@dataclass(frozen=True, slots=True)
class SplitRatio:
    """``new`` units for each ``old`` one: 4 for 1 in a split, 1 for 10 in a reverse split; both above 0."""

    new: Decimal
    old: Decimal

    def __post_init__(self) -> None:
        if not (self.new.is_finite() and self.old.is_finite() and self.new > 0 and self.old > 0):
            raise ValueError("a split has two numbers above 0")


def split(position: PositionFacts, ratio: SplitRatio) -> PositionFacts:
    """Return the position after a split: more or fewer units that cost the same in all; nothing is realized."""
    return PositionFacts(
        _rounded(position.quantity * ratio.new / ratio.old),
        _rounded(position.average_price * ratio.old / ratio.new),
        position.realized_profit,
    )


def adjust(position: PositionFacts, quantity: Decimal, average_price: Decimal | None) -> PositionFacts:
    """Return the position set by hand. Profit is realized by executions alone, so it stays.

    Without an average price the old one is kept; holding nothing costs nothing.
    """
    price = position.average_price if average_price is None else average_price
    return PositionFacts(quantity, price if quantity else Decimal(0), position.realized_profit)


def merge(into: PositionFacts, other: PositionFacts) -> PositionFacts:
    """Return two positions of what has become one symbol as one: quantities and costs add up."""
    quantity = into.quantity + other.quantity
    realized = into.realized_profit + other.realized_profit
    if quantity == 0:
        return PositionFacts(quantity, Decimal(0), realized)
    if into.quantity * other.quantity < 0:  # a long and a short of the same thing: what is left keeps its price
        larger = max(into, other, key=lambda one: abs(one.quantity))
        return PositionFacts(quantity, larger.average_price, realized)
    cost = into.quantity * into.average_price + other.quantity * other.average_price
    return PositionFacts(quantity, _rounded(cost / quantity), realized)


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(_STEP, ROUND_HALF_EVEN)
