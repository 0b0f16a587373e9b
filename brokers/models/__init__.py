from brokers.models.accounts import Account, Broker, Instrument, StreamChange, StreamSession
from brokers.models.baskets import Basket, BasketLeg
from brokers.models.external_orders import ExternalOrder
from brokers.models.freezes import Freeze, FreezeEvent
from brokers.models.history import HistoryAnchor, SealCursor, SealedRow
from brokers.models.holdings import Balance, CashEntry, PositionChange, PositionCheckpoint
from brokers.models.kill_switch import KillSwitch, KillSwitchEvent
from brokers.models.orders import Fill, FillFee, Order, OrderEvent
from brokers.models.positions import Position, PositionEvent
from brokers.models.tokens import TokenLimit

__all__ = [
    "Account",
    "Balance",
    "Basket",
    "BasketLeg",
    "Broker",
    "CashEntry",
    "ExternalOrder",
    "Fill",
    "FillFee",
    "Freeze",
    "FreezeEvent",
    "HistoryAnchor",
    "Instrument",
    "KillSwitch",
    "KillSwitchEvent",
    "Order",
    "OrderEvent",
    "Position",
    "PositionChange",
    "PositionCheckpoint",
    "PositionEvent",
    "SealCursor",
    "SealedRow",
    "StreamChange",
    "StreamSession",
    "TokenLimit",
]
