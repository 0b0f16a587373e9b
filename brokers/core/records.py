"""What we recorded, as plain values for those who compare it with what a broker reports."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from brokers.core.orders import OrderState, Side


@dataclass(frozen=True, slots=True)
class RecordedOrder:
    """One order of ours; ``changed_at`` is the instant of its last event."""

    id: UUID
    client_order_id: str
    broker_order_id: str
    symbol: str
    side: Side
    quantity: Decimal | None
    filled_quantity: Decimal
    limit_price: Decimal | None
    state: OrderState
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RecordedFill:
    """One booked execution; ``order_id`` is None where its order was placed elsewhere."""

    execution_id: str
    broker_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    order_id: UUID | None


@dataclass(frozen=True, slots=True)
class RecordedPosition:
    """What an account holds of one symbol, and when that last changed."""

    symbol: str
    quantity: Decimal
    average_price: Decimal
    changed_at: datetime | None = None
