"""The running broker: its book, its prices and the three changes everything else is made of.

Nothing here waits. Each change becomes a record that goes to the book and, through ``write``, to the ledger;
what subscribers should hear goes out through ``publish``.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

from brokers.simulator.book import Book
from brokers.simulator.instruments import Instrument
from brokers.simulator.orders import (
    CashActivity,
    Fill,
    Order,
    Record,
    Side,
    Status,
    cash_record,
    fill_record,
    order_record,
)
from brokers.simulator.prices import PriceWalk

CASH = "USD"
_FEE_STEP = Decimal("0.00000001")
UNPUBLISHED_STATUSES = frozenset({Status.ACCEPTED, Status.PENDING_NEW, Status.HELD})


@dataclass(frozen=True, slots=True)
class Event:
    """What a trade_updates subscriber hears: the event's name, the order as it then is and, for a fill, the fill."""

    name: str
    order: Order
    at: datetime
    fill: Fill | None = None


@dataclass(frozen=True, slots=True)
class VenueRules:
    """How the broker behaves.

    Args:
        liquidity: The most that changes hands per tick and symbol.
        partial_probability: How often an order that could fill gets a part only.
        allow_short: Whether more may be sold than is held.
        dedupe: Whether a client_order_id seen before is refused.
        fee_rate: Share of the value of an execution that it costs.
        fees_from_received: Whether fees are taken out of what is received: the asset bought, else out of the cash.
    """

    liquidity: Decimal = Decimal(5000)
    partial_probability: float = 0.25
    allow_short: bool = False
    dedupe: bool = True
    fee_rate: Decimal = Decimal(0)
    fees_from_received: bool = False


@dataclass
class Venue:
    book: Book
    instruments: dict[str, Instrument]
    walks: dict[str, PriceWalk]
    rules: VenueRules
    draws: random.Random
    clock: Callable[[], datetime]
    write: Callable[[Record], object]
    publish: Callable[[Event], object]
    is_open: bool = True
    is_matching: bool = True
    is_deduplicating: bool = True
    tells_fee: Callable[[], bool] = lambda: True
    _last_execution: int = field(default=0, init=False)

    def now(self) -> datetime:
        """Return the wall time, never earlier than anything already in the book."""
        now = self.clock()
        latest = self.book.latest_at
        return now if latest is None or now > latest else latest

    def prices(self) -> dict[str, Decimal]:
        return {symbol: walk.price for symbol, walk in self.walks.items()}

    def record(self, record: Record) -> None:
        self.write(record)
        self.book.apply(record)

    def accept(self, order: Order, request_id: int) -> Order:
        """Take an order into the book and return the book's copy of it."""
        self.record({"kind": "accepted", "request_id": request_id, "order": order_record(order)})
        accepted = self.book.by_id[order.id]
        if accepted.status not in UNPUBLISHED_STATUSES:
            self.publish(Event(accepted.status, accepted, accepted.submitted_at))
        return accepted

    def change_state(self, order: Order, status: Status, **details: str | bool) -> None:
        """Move an order to ``status`` and tell subscribers; ``details`` join the record."""
        at = self.now()
        self.record({**_state_record(order, status, at), **details})
        self.publish(Event(status, order, at))

    def trigger(self, order: Order) -> None:
        """Make a stop order active. It keeps its status, and subscribers hear nothing."""
        self.record({**_state_record(order, order.status, self.now()), "triggered": True})

    def fill(self, order: Order, quantity: Decimal, price: Decimal) -> None:
        at = self.now()
        execution_id = self._next_id(at)
        signed = quantity if order.side is Side.BUY else -quantity
        fee, asset = self._fee(order, quantity, price)
        fill = Fill(
            execution_id=execution_id,
            activity_id=_activity_id(at, execution_id),
            order_id=order.id,
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            quantity=quantity,
            price=price,
            cumulative_quantity=order.filled_quantity + quantity,
            leaves_quantity=order.leaves_quantity - quantity,
            position_quantity=self.book.account.quantity_of(order.symbol) + signed,
            at=at,
            fee=fee,
            fee_asset=asset,
            tells_fee=not fee or self.tells_fee(),
        )
        if fill.fee_of_position:
            fill = replace(fill, position_quantity=fill.position_quantity - fill.fee_of_position)
        self.record(fill_record(fill))
        self.publish(Event("partial_fill" if fill.leaves_quantity else "fill", order, at, fill))

    def _fee(self, order: Order, quantity: Decimal, price: Decimal) -> tuple[Decimal, str]:
        """Return what an execution costs, and of which asset."""
        base, _, quote = order.symbol.partition("/")
        is_received = self.rules.fees_from_received and bool(quote) and order.side is Side.BUY
        value = quantity if is_received else quantity * price
        fee = (value * self.rules.fee_rate).quantize(_FEE_STEP, rounding=ROUND_HALF_UP)
        return fee, base if is_received else quote or CASH

    def put_price(self, symbol: str, price: Decimal, *, held: bool) -> None:
        self.walks[symbol].put(price, held=held)
        self.record({"kind": "price", "symbol": symbol, "price": str(price), "held": held})

    def move_cash(self, kind: str, amount: Decimal, symbol: str, description: str) -> CashActivity:
        """Move cash beside executions, and return the activity that tells of it."""
        at = self.now()
        activity = CashActivity(_activity_id(at, self._next_id(at)), kind, amount, symbol, description, at)
        self.record(cash_record(activity))
        return activity

    def _next_id(self, at: datetime) -> str:
        """Return a UUID (version 7 layout) that sorts after every earlier one, so activity ids are a cursor."""
        milliseconds = int(at.timestamp() * 1000)
        self._last_execution = max(self._last_execution + 1, milliseconds << 12)
        head, counter = self._last_execution >> 12, self._last_execution & 0xFFF
        tail = self.draws.getrandbits(62)
        return str(UUID(int=head << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | tail))


def _activity_id(at: datetime, name: str) -> str:
    return f"{at:%Y%m%d%H%M%S}{at.microsecond // 1000:03d}::{name}"


def _state_record(order: Order, status: Status, at: datetime) -> Record:
    return {
        "kind": "state",
        "order_id": order.id,
        "client_order_id": order.client_order_id,
        "from": order.status,
        "status": status,
        "at": at.isoformat(),
    }
