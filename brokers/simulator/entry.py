"""Order entry: submit, cancel, replace. Each either changes the book or raises a refusal."""

from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from uuid import uuid4

from brokers.simulator.exits import attach_legs
from brokers.simulator.matching import FRACTION_STEP
from brokers.simulator.orders import FINAL_STATUSES, Order, OrderClass, OrderType, Side, Status, TimeInForce
from brokers.simulator.requests import (
    FORBIDDEN,
    UNPROCESSABLE,
    OrderTerms,
    RefusalError,
    ReplaceTerms,
    refuse,
)
from brokers.simulator.venue import Venue

MARKET_COLLAR = Decimal("1.03")
GTC_LIFETIME = timedelta(days=90)
UNREPLACEABLE_STATUSES = frozenset(
    {Status.ACCEPTED, Status.PENDING_NEW, Status.PENDING_CANCEL, Status.PENDING_REPLACE},
)


def submit_order(venue: Venue, terms: OrderTerms, request_id: int) -> Order:
    """Take a new order.

    Raises:
        RefusalError: The client order id was used before, or the account cannot cover the order.
    """
    _check_client_order_id(venue, terms.client_order_id)
    return place_order(venue, terms, request_id)


def place_order(venue: Venue, terms: OrderTerms, request_id: int) -> Order:
    """Take a new order whose client order id was found to be free.

    Raises:
        RefusalError: The account cannot cover the order.
    """
    now = venue.now()
    price = venue.walks[terms.symbol].quote.ask
    reference_price = price * MARKET_COLLAR if terms.type is OrderType.MARKET else price
    order = Order(
        id=str(uuid4()),
        client_order_id=terms.client_order_id or str(uuid4()),
        symbol=terms.symbol,
        side=terms.side,
        type=terms.type,
        time_in_force=terms.time_in_force,
        quantity=terms.quantity or _quantity_for(terms, price),
        notional=terms.notional,
        limit_price=terms.limit_price,
        stop_price=terms.stop_price,
        reference_price=reference_price,
        extended_hours=terms.extended_hours,
        position_intent=terms.position_intent,
        status=Status.NEW if venue.is_open else Status.ACCEPTED,
        submitted_at=now,
        updated_at=now,
        expires_at=_expiry(terms.time_in_force, now),
        order_class=terms.order_class,
    )
    _check_cover(venue, order, released=Decimal(0))
    accepted = venue.accept(order, request_id)
    if terms.order_class is not OrderClass.SIMPLE:
        attach_legs(venue, accepted, terms, request_id)
    return accepted


def cancel_order(venue: Venue, order: Order) -> None:
    """Take a cancel request. The order ends at the next tick, unless it fills in it."""
    if order.status in FINAL_STATUSES or order.status is Status.PENDING_CANCEL:
        raise refuse(f'order is already in "{order.status}" state', UNPROCESSABLE)
    if order.status in (Status.PENDING_NEW, Status.PENDING_REPLACE):
        raise refuse(f'order pending "{order.status}" cannot be canceled', UNPROCESSABLE)
    venue.change_state(order, Status.PENDING_CANCEL)


def replace_order(venue: Venue, old: Order, terms: ReplaceTerms, request_id: int) -> Order:
    """Take a replace request and return the new order; the next tick tells whether it won.

    As at Alpaca the new order is for the full quantity asked for (or the full quantity of the old order), whatever
    the old one had filled already.
    """
    if old.status in FINAL_STATUSES or old.status in UNREPLACEABLE_STATUSES:
        raise refuse(f'unable to replace order in "{old.status}" state', UNPROCESSABLE)
    if old.order_class is not OrderClass.SIMPLE:
        raise refuse(f"{old.order_class} orders cannot be replaced here", UNPROCESSABLE)
    if old.notional is not None:
        raise refuse("notional orders cannot be replaced", UNPROCESSABLE)
    if (terms.limit_price and old.limit_price is None) or (terms.stop_price and old.stop_price is None):
        raise refuse(f"{old.type} orders have no such price to replace")
    _check_client_order_id(venue, terms.client_order_id)
    now = venue.now()
    time_in_force = terms.time_in_force or old.time_in_force
    order = Order(
        id=str(uuid4()),
        client_order_id=terms.client_order_id or str(uuid4()),
        symbol=old.symbol,
        side=old.side,
        type=old.type,
        time_in_force=time_in_force,
        quantity=terms.quantity or old.quantity,
        limit_price=terms.limit_price or old.limit_price,
        stop_price=terms.stop_price or old.stop_price,
        reference_price=old.reference_price,
        extended_hours=old.extended_hours,
        position_intent=old.position_intent,
        replaces=old.id,
        status=Status.PENDING_NEW,
        submitted_at=now,
        updated_at=now,
        expires_at=_expiry(time_in_force, now),
    )
    _check_cover(venue, order, released=old.held)
    accepted = venue.accept(order, request_id)
    venue.change_state(old, Status.PENDING_REPLACE, replaced_by=accepted.id)
    return accepted


def _check_client_order_id(venue: Venue, client_order_id: str | None) -> None:
    is_used = client_order_id is not None and client_order_id in venue.book.by_client_order_id
    if is_used and venue.rules.dedupe and venue.is_deduplicating:
        raise refuse("client_order_id must be unique")


def _check_cover(venue: Venue, order: Order, released: Decimal) -> None:
    """Refuse what the account cannot pay or deliver; ``released`` is what the order it replaces gives back."""
    if order.side is Side.BUY:
        _check_buying_power(venue, order, released)
        return
    account = venue.book.account
    available = account.available_quantity(order.symbol) + released
    is_crypto = venue.instruments[order.symbol].is_crypto
    if order.quantity <= available:
        return
    if venue.rules.allow_short and not is_crypto:
        _check_buying_power(venue, order, Decimal(0))
        return
    message = f"insufficient qty available for order (requested: {order.quantity}, available: {available})"
    held = account.held_quantities.get(order.symbol, Decimal(0))
    extras = {
        "available": str(available),
        "existing_qty": str(account.quantity_of(order.symbol)),
        "held_for_orders": str(held),
        "symbol": order.symbol,
    }
    raise RefusalError(403, FORBIDDEN, message, extras)


def _check_buying_power(venue: Venue, order: Order, released: Decimal) -> None:
    cost = order.quantity * (order.limit_price or order.stop_price or order.reference_price)
    buying_power = venue.book.account.buying_power(venue.prices()) + released
    if cost > buying_power:
        extras = {"buying_power": f"{buying_power:.2f}", "cost_basis": f"{cost:.2f}"}
        raise RefusalError(403, FORBIDDEN, "insufficient buying power", extras)


def _quantity_for(terms: OrderTerms, price: Decimal) -> Decimal:
    quantity = ((terms.notional or Decimal(0)) / price).quantize(FRACTION_STEP, rounding=ROUND_DOWN)
    if quantity <= 0:
        raise refuse("notional is too small to trade", UNPROCESSABLE)
    return quantity


def _expiry(time_in_force: TimeInForce, now: datetime) -> datetime:
    """Return when the order lapses: the broker's day ends at midnight UTC, good-till-cancelled after 90 days."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (GTC_LIFETIME if time_in_force is TimeInForce.GTC else timedelta(days=1))
