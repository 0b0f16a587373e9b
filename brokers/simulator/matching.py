"""Decide what trades in one tick of one symbol. Pure: the quote, the liquidity and the draws are arguments."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from brokers.simulator.orders import LIMIT_TYPES, STOP_TYPES, Order, Side, TimeInForce
from brokers.simulator.prices import Quote

FRACTION_STEP = Decimal("0.000000001")
WHOLE_STEP = Decimal(1)


@dataclass(frozen=True, slots=True)
class Execution:
    order: Order
    quantity: Decimal
    price: Decimal


def is_triggered(order: Order, quote: Quote) -> bool:
    """Tell whether a stop order becomes active: a buy at or above its stop price, a sell at or below it."""
    if order.stop_price is None or order.type not in STOP_TYPES:
        return False
    return quote.ask >= order.stop_price if order.side is Side.BUY else quote.bid <= order.stop_price


def crossing_price(order: Order, quote: Quote) -> Decimal | None:
    """Return the price at which the order can trade now, or None while it has to rest."""
    if order.type in STOP_TYPES and not order.triggered:
        return None
    price = quote.ask if order.side is Side.BUY else quote.bid
    if order.type in LIMIT_TYPES and order.limit_price is not None:
        crosses = price <= order.limit_price if order.side is Side.BUY else price >= order.limit_price
        return price if crosses else None
    return price


def part_of(quantity: Decimal, share: float) -> Decimal:
    """Return about ``share`` of a quantity: whole units of a whole quantity, never zero and never more than all."""
    step = WHOLE_STEP if quantity == quantity.to_integral_value() else FRACTION_STEP
    part = (quantity * Decimal(share)).quantize(step, rounding=ROUND_DOWN)
    return min(max(part, step), quantity)


def match_tick(
    orders: Iterable[Order],
    quote: Quote,
    liquidity: Decimal,
    draw: Callable[[], float],
    partial_probability: float,
) -> Iterator[Execution]:
    """Yield the executions of one tick, the oldest order first, until the liquidity is used up.

    Args:
        orders: Live orders of one symbol in order of arrival. Not changed here.
        quote: The prices of this tick.
        liquidity: The quantity that can change hands in this tick, over all orders.
        draw: Gives numbers in [0, 1); two per order that crosses.
        partial_probability: How often an order gets a part only although there is liquidity for all.
    """
    for order in orders:
        price = crossing_price(order, quote)
        if price is None or liquidity <= 0:
            continue
        leaves = order.leaves_quantity
        if order.time_in_force is TimeInForce.FOK:
            quantity = leaves if leaves <= liquidity else Decimal(0)
        else:
            is_partial, share = draw() < partial_probability, draw()
            quantity = min(part_of(leaves, share) if is_partial else leaves, liquidity)
        if quantity > 0:
            liquidity -= quantity
            yield Execution(order, quantity, price)
