"""Orders that hang together: exits that wait for their entry, and exits that end each other.

The first order of a group is its parent: the entry of a bracket or of a one-triggers-other, the take-profit of a
one-cancels-other. As at Alpaca, legs become active when the whole entry has filled, a take-profit works while its
stop loss is held back, and the end of one exit is the end of the other.

Source:
    "Bracket orders", "OCO orders" and "OTO orders", Alpaca documentation of orders.
"""

from datetime import datetime
from decimal import Decimal
from uuid import uuid4

from brokers.simulator.matching import is_triggered
from brokers.simulator.orders import Order, OrderClass, OrderType, Side, Status
from brokers.simulator.prices import Quote
from brokers.simulator.requests import OrderTerms
from brokers.simulator.venue import Venue


def attach_legs(venue: Venue, parent: Order, terms: OrderTerms, request_id: int) -> None:
    """Take the exits of an order that was just accepted; they wait, held back."""
    side = terms.side if terms.order_class is OrderClass.OCO else _opposite(terms.side)
    if terms.take_profit is not None and terms.order_class is not OrderClass.OCO:
        leg = _leg(parent, terms, side, OrderType.LIMIT, terms.take_profit_name)
        leg.limit_price = terms.take_profit
        venue.accept(leg, request_id)
    if terms.stop_loss is not None:
        kind = OrderType.STOP if terms.stop_loss_limit is None else OrderType.STOP_LIMIT
        leg = _leg(parent, terms, side, kind, terms.stop_loss_name)
        leg.stop_price, leg.limit_price = terms.stop_loss, terms.stop_loss_limit
        venue.accept(leg, request_id)


def tend(venue: Venue, order: Order, quote: Quote) -> None:
    """Activate or end one order as its group has it; does nothing for single orders and where nothing changed."""
    if order.order_class is OrderClass.SIMPLE or order.is_final:
        return
    parent = venue.book.by_id[order.parent or order.id]
    legs, is_pair = venue.book.legs.get(parent.id, []), parent.order_class is OrderClass.OCO
    if order is parent and not is_pair:
        return
    others = [one for one in (parent, *legs) if one is not order and (is_pair or one is not parent)]
    is_orphan = not is_pair and parent.is_final and parent.status is not Status.FILLED
    if is_orphan or (not order.triggered and any(one.is_final for one in others)):
        venue.change_state(order, Status.CANCELED)
    elif order.status is Status.HELD and (is_pair or parent.status is Status.FILLED):
        _activate(venue, order, others, quote)


def _activate(venue: Venue, order: Order, others: list[Order], quote: Quote) -> None:
    """Let an exit work: a stop loss beside a take-profit once its price is reached, for what that one has left."""
    if order.stop_price is None or not others:
        venue.change_state(order, Status.NEW, activated=True)
    elif is_triggered(order, quote):
        left = order.quantity - sum((one.filled_quantity for one in others), Decimal(0))
        venue.change_state(order, Status.NEW, activated=True, triggered=True, quantity=str(left))
        for one in others:
            venue.change_state(one, Status.CANCELED)


def _leg(parent: Order, terms: OrderTerms, side: Side, kind: OrderType, name: str | None) -> Order:
    at: datetime = parent.submitted_at
    return Order(
        id=str(uuid4()),
        client_order_id=name or str(uuid4()),
        symbol=parent.symbol,
        side=side,
        type=kind,
        time_in_force=parent.time_in_force,
        quantity=parent.quantity,
        reference_price=parent.reference_price,
        status=Status.HELD,
        submitted_at=at,
        updated_at=at,
        expires_at=parent.expires_at,
        order_class=terms.order_class,
        parent=parent.id,
        active=False,
    )


def _opposite(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY
