"""The state of the simulated broker, changed only by applying ledger records.

Running and replaying take the same path: a decision becomes a record, and ``Book.apply`` makes the record true.
So the state after a restart is the state before it, whatever the process died of.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from brokers.simulator.account import Account
from brokers.simulator.orders import (
    FINAL_STATUSES,
    CashActivity,
    Fill,
    Order,
    Record,
    Status,
    cash_from_record,
    fill_from_record,
    order_from_record,
)


@dataclass
class Book:
    """Orders and fills in order of arrival, the account, and the ways to find them.

    ``fill_positions`` gives the places in ``fills`` of each order's fills; ``by_client_order_id`` holds more than one
    order per id only where duplicates were let in.
    """

    account: Account
    orders: list[Order] = field(default_factory=list)
    by_id: dict[str, Order] = field(default_factory=dict)
    by_client_order_id: dict[str, list[Order]] = field(default_factory=dict)
    open_orders: dict[str, dict[str, Order]] = field(default_factory=dict)
    legs: dict[str, list[Order]] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    fill_positions: dict[str, list[int]] = field(default_factory=dict)
    cash_activities: list[CashActivity] = field(default_factory=list)
    last_prices: dict[str, Decimal] = field(default_factory=dict)
    latest_at: datetime | None = None

    def apply(self, record: Record) -> None:
        """Make one record true. Records that say nothing about orders, fills or prices change nothing."""
        change = _CHANGES.get(record["kind"])
        if change is not None:
            change(self, record)

    def open_count(self) -> int:
        return sum(len(orders) for orders in self.open_orders.values())

    def _accept(self, record: Record) -> None:
        order = order_from_record(record["order"])
        order.sequence = len(self.orders)
        self.orders.append(order)
        self.by_id[order.id] = order
        self.by_client_order_id.setdefault(order.client_order_id, []).append(order)
        self.open_orders.setdefault(order.symbol, {})[order.id] = order
        if order.parent is not None:
            self.legs.setdefault(order.parent, []).append(order)
        self.latest_at = order.submitted_at
        self.account.hold_for(order)

    def _change_state(self, record: Record) -> None:
        order = self.by_id[record["order_id"]]
        order.status = Status(record["status"])
        order.triggered = order.triggered or record.get("triggered", False)
        order.active = order.active or record.get("activated", False)
        order.quantity = Decimal(record["quantity"]) if "quantity" in record else order.quantity
        order.replaced_by = record.get("replaced_by") or order.replaced_by
        self._touch(order, datetime.fromisoformat(record["at"]))

    def _fill(self, record: Record) -> None:
        fill = fill_from_record(record)
        order = self.by_id[fill.order_id]
        order.filled_quantity += fill.quantity
        order.filled_value += fill.quantity * fill.price
        if not order.leaves_quantity:
            order.status = Status.FILLED
        elif order.status not in (Status.PENDING_CANCEL, Status.PENDING_REPLACE):
            order.status = Status.PARTIALLY_FILLED
        self.fill_positions.setdefault(fill.order_id, []).append(len(self.fills))
        self.fills.append(fill)
        self.account.book(fill)
        self.last_prices[fill.symbol] = fill.price
        self._touch(order, fill.at)
        if fill.fee and fill.tells_fee and not fill.fee_of_position:
            self.cash_activities.append(_fee_activity(fill))

    def _move_cash(self, record: Record) -> None:
        activity = cash_from_record(record)
        self.cash_activities.append(activity)
        self.account.cash += activity.amount
        self.latest_at = activity.at

    def _price(self, record: Record) -> None:
        self.last_prices[record["symbol"]] = Decimal(record["price"])

    def _touch(self, order: Order, at: datetime) -> None:
        order.updated_at = at
        self.latest_at = at
        if order.status in FINAL_STATUSES:
            order.ended_at = at
            self.open_orders[order.symbol].pop(order.id, None)
        self.account.hold_for(order)


def _fee_activity(fill: Fill) -> CashActivity:
    """Return the fee of an execution as an activity: no fill tells it in Alpaca's words."""
    stamp, _, name = fill.activity_id.partition("::")
    told = f"Fee of {fill.symbol} {fill.execution_id}"
    return CashActivity(f"{stamp}::{name[:-4]}fee0", "FEE", -fill.fee, fill.symbol, told, fill.at)


_CHANGES: dict[str, Callable[[Book, Record], None]] = {
    "accepted": Book._accept,
    "state": Book._change_state,
    "fill": Book._fill,
    "price": Book._price,
    "cash": Book._move_cash,
}
