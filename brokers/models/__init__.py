from brokers.models.accounts import Account, Broker, Instrument, StreamSession
from brokers.models.history import HistoryAnchor, SealCursor, SealedRow
from brokers.models.orders import Fill, Order, OrderEvent
from brokers.models.positions import Position, PositionEvent

__all__ = [
    "Account",
    "Broker",
    "Fill",
    "HistoryAnchor",
    "Instrument",
    "Order",
    "OrderEvent",
    "Position",
    "PositionEvent",
    "SealCursor",
    "SealedRow",
    "StreamSession",
]
