"""The running broker: its book, its prices and the three changes everything else is made of.

Nothing here waits. Each change becomes a record that goes to the book and, through ``write``, to the ledger;
what subscribers should hear goes out through ``publish``.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from brokers.simulator.book import Book
from brokers.simulator.instruments import Instrument
from brokers.simulator.orders import Fill, Order, Record, Side, Status, fill_record, order_record
from brokers.simulator.prices import PriceWalk

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
    """

    liquidity: Decimal = Decimal(5000)
    partial_probability: float = 0.25
    allow_short: bool = False
    dedupe: bool = True


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
        execution_id = self._next_execution_id(at)
        signed = quantity if order.side is Side.BUY else -quantity
        fill = Fill(
            execution_id=execution_id,
            activity_id=f"{at:%Y%m%d%H%M%S}{at.microsecond // 1000:03d}::{execution_id}",
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
        )
        self.record(fill_record(fill))
        self.publish(Event("partial_fill" if fill.leaves_quantity else "fill", order, at, fill))

    def put_price(self, symbol: str, price: Decimal, *, held: bool) -> None:
        self.walks[symbol].put(price, held=held)
        self.record({"kind": "price", "symbol": symbol, "price": str(price), "held": held})

    def _next_execution_id(self, at: datetime) -> str:
        """Return a UUID (version 7 layout) that sorts after every earlier one, so activity ids are a cursor."""
        milliseconds = int(at.timestamp() * 1000)
        self._last_execution = max(self._last_execution + 1, milliseconds << 12)
        head, counter = self._last_execution >> 12, self._last_execution & 0xFFF
        tail = self.draws.getrandbits(62)
        return str(UUID(int=head << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | tail))


def _state_record(order: Order, status: Status, at: datetime) -> Record:
    return {
        "kind": "state",
        "order_id": order.id,
        "client_order_id": order.client_order_id,
        "from": order.status,
        "status": status,
        "at": at.isoformat(),
    }
