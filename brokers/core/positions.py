"""How a fill, and a fee that is taken out of what is held, move a position."""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from brokers.core.orders import Side

_PRICE_STEP = Decimal("0.000000000001")


@dataclass(frozen=True, slots=True)
class PositionFacts:
    """Signed quantity, average entry price per unit, and profit realized so far."""

    quantity: Decimal
    average_price: Decimal
    realized_profit: Decimal


def apply_fill(position: PositionFacts, side: Side, quantity: Decimal, price: Decimal) -> PositionFacts:
    """Return the position after one execution.

    Buying more of a long (or selling more of a short) moves the average price; the rest
    realizes profit against it, and crossing zero opens the other side at ``price``.
    """
    signed = quantity if side is Side.BUY else -quantity
    held = position.quantity
    after = held + signed
    if held == 0 or (held > 0) == (signed > 0):
        total = abs(held) * position.average_price + quantity * price
        average = (total / abs(after)).quantize(_PRICE_STEP, ROUND_HALF_EVEN)
        return PositionFacts(after, average, position.realized_profit)
    closed = min(abs(held), quantity)
    direction = 1 if held > 0 else -1
    profit = position.realized_profit + direction * closed * (price - position.average_price)
    if after == 0:
        average = Decimal(0)
    elif (after > 0) == (held > 0):
        average = position.average_price
    else:
        average = price
    return PositionFacts(after, average, profit)


def apply_fee(position: PositionFacts, fee: Decimal) -> PositionFacts:
    """Return the position after ``fee`` units of it were taken as a fee: given away at what they had cost."""
    after = position.quantity - fee
    average = position.average_price if after else Decimal(0)
    return PositionFacts(after, average, position.realized_profit - fee * position.average_price)
