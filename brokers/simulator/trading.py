"""One tick of the broker: prices move, orders trade, cancels and replacements take effect, old orders lapse."""

from datetime import datetime
from decimal import Decimal

from brokers.simulator.exits import tend
from brokers.simulator.matching import is_triggered, match_tick
from brokers.simulator.orders import Order, OrderClass, OrderType, Side, Status, TimeInForce
from brokers.simulator.prices import Quote
from brokers.simulator.venue import Event, Venue

RESTING_STATUSES = frozenset({Status.NEW, Status.PARTIALLY_FILLED})
IMMEDIATE = frozenset({TimeInForce.IOC, TimeInForce.FOK})


def run_tick(venue: Venue) -> None:
    """Advance the broker by one tick. Orders trade first, so a fill can beat a cancel or a replacement."""
    for walk in venue.walks.values():
        walk.step()
    now = venue.now()
    for symbol, open_orders in venue.book.open_orders.items():
        quote = venue.walks[symbol].quote
        stirring = [order for order in open_orders.values() if not is_resting(order, quote, now)]
        if stirring:
            _trade_symbol(venue, symbol, stirring)


def is_resting(order: Order, quote: Quote, now: datetime) -> bool:
    """Tell whether a tick has nothing to do for an order: a plain limit order away from the market."""
    if order.type is not OrderType.LIMIT or order.limit_price is None or order.status not in RESTING_STATUSES:
        return False
    if order.order_class is not OrderClass.SIMPLE:
        return False
    if order.time_in_force in IMMEDIATE or now >= order.expires_at:
        return False
    return order.limit_price < quote.ask if order.side is Side.BUY else order.limit_price > quote.bid


def _trade_symbol(venue: Venue, symbol: str, orders: list[Order]) -> None:
    for order in orders:
        tend(venue, order, venue.walks[symbol].quote)
    if venue.is_open:
        for order in orders:
            _activate(venue, symbol, order)
        if venue.is_matching:
            _match(venue, symbol, orders)
    now = venue.now()
    for order in orders:
        if order.is_final:
            continue
        if order.status is Status.PENDING_CANCEL:
            venue.change_state(order, Status.CANCELED)
        elif order.status is Status.PENDING_REPLACE:
            venue.change_state(order, Status.REPLACED)
        elif order.status is Status.PENDING_NEW:
            _settle_replacement(venue, order)
        elif now >= order.expires_at:
            venue.change_state(order, Status.EXPIRED)
        elif order.time_in_force in IMMEDIATE and venue.is_open and venue.is_matching:
            venue.change_state(order, Status.CANCELED)


def _activate(venue: Venue, symbol: str, order: Order) -> None:
    if order.is_final:
        return
    if order.status is Status.ACCEPTED:
        venue.change_state(order, Status.NEW)
    if (
        order.stop_price is not None
        and order.active
        and not order.triggered
        and is_triggered(order, venue.walks[symbol].quote)
    ):
        venue.trigger(order)


def _match(venue: Venue, symbol: str, orders: list[Order]) -> None:
    liquidity = (venue.rules.liquidity * Decimal(0.5 + venue.draws.random() / 2)).quantize(Decimal(1))
    live = (o for o in orders if o.status is not Status.PENDING_NEW and o.active and not o.is_final)
    executions = match_tick(
        live, venue.walks[symbol].quote, liquidity, venue.draws.random, venue.rules.partial_probability
    )
    for execution in list(executions):
        venue.fill(execution.order, execution.quantity, execution.price)


def _settle_replacement(venue: Venue, order: Order) -> None:
    """Start the replacing order if the old one is out of the way, refuse it if the old one ended otherwise."""
    replaced = venue.book.by_id[order.replaces or ""]
    if replaced.status is Status.REPLACED:
        venue.change_state(order, Status.NEW if _is_deliverable(venue, order) else Status.REJECTED)
    elif replaced.is_final:
        venue.change_state(order, Status.REJECTED)
        venue.publish(Event("order_replace_rejected", replaced, venue.now()))


def _is_deliverable(venue: Venue, order: Order) -> bool:
    """Tell whether a replacing sell is still covered: the order it replaces may have filled since it was asked for."""
    if order.side is Side.BUY or venue.rules.allow_short:
        return True
    return order.quantity <= venue.book.account.available_quantity(order.symbol)
