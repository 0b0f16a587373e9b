"""What an order and a fill are to the simulated broker, and how both look in its ledger."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

Record = dict[str, Any]


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"


class TimeInForce(StrEnum):
    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"


class OrderClass(StrEnum):
    """What hangs together: an entry and both its exits, an entry and one exit, two exits that end each other."""

    SIMPLE = "simple"
    BRACKET = "bracket"
    OTO = "oto"
    OCO = "oco"


class Status(StrEnum):
    ACCEPTED = "accepted"
    PENDING_NEW = "pending_new"
    HELD = "held"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REPLACED = "replaced"
    REJECTED = "rejected"


FINAL_STATUSES = frozenset({Status.FILLED, Status.CANCELED, Status.EXPIRED, Status.REPLACED, Status.REJECTED})
LIMIT_TYPES = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
STOP_TYPES = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})


@dataclass(slots=True)
class Order:
    """One order. ``quantity`` is what will be traded; a notional order has it derived from ``reference_price``.

    A leg names its ``parent``; while it is not ``active`` it neither trades nor holds anything.
    """

    id: str
    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    reference_price: Decimal
    status: Status
    submitted_at: datetime
    updated_at: datetime
    expires_at: datetime
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    extended_hours: bool = False
    position_intent: str | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    sequence: int = 0
    triggered: bool = False
    filled_quantity: Decimal = Decimal(0)
    filled_value: Decimal = Decimal(0)
    ended_at: datetime | None = None
    held: Decimal = field(default=Decimal(0), compare=False)
    order_class: OrderClass = OrderClass.SIMPLE
    parent: str | None = None
    active: bool = True

    @property
    def leaves_quantity(self) -> Decimal:
        return self.quantity - self.filled_quantity

    @property
    def is_final(self) -> bool:
        return self.status in FINAL_STATUSES

    @property
    def average_price(self) -> Decimal | None:
        return self.filled_value / self.filled_quantity if self.filled_quantity else None


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution; ``fee`` is in ``fee_asset``, and ``tells_fee`` whether the broker ever says so."""

    execution_id: str
    activity_id: str
    order_id: str
    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    cumulative_quantity: Decimal
    leaves_quantity: Decimal
    position_quantity: Decimal
    at: datetime
    fee: Decimal = Decimal(0)
    fee_asset: str = ""
    tells_fee: bool = True

    @property
    def fee_of_position(self) -> Decimal:
        """What of the fee is taken out of what is traded, not out of the cash."""
        base, _, quote = self.symbol.partition("/")
        return self.fee if quote and self.fee_asset == base else Decimal(0)

    @property
    def told_fee(self) -> Decimal:
        return self.fee if self.tells_fee else Decimal(0)


@dataclass(frozen=True, slots=True)
class CashActivity:
    """Cash that moved beside executions; negative is paid."""

    activity_id: str
    type: str
    amount: Decimal
    symbol: str
    description: str
    at: datetime


def cash_record(activity: CashActivity) -> Record:
    return {
        "kind": "cash",
        "activity_id": activity.activity_id,
        "type": activity.type,
        "amount": str(activity.amount),
        "symbol": activity.symbol,
        "description": activity.description,
        "at": activity.at.isoformat(),
    }


def cash_from_record(record: Record) -> CashActivity:
    return CashActivity(
        activity_id=record["activity_id"],
        type=record["type"],
        amount=Decimal(record["amount"]),
        symbol=record["symbol"],
        description=record["description"],
        at=datetime.fromisoformat(record["at"]),
    )


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def order_record(order: Order) -> Record:
    """Return the terms of an order, as the ledger keeps them in an ``accepted`` record."""
    return {
        "id": order.id,
        "client_order_id": order.client_order_id,
        "symbol": order.symbol,
        "side": order.side,
        "type": order.type,
        "time_in_force": order.time_in_force,
        "quantity": str(order.quantity),
        "notional": _text(order.notional),
        "limit_price": _text(order.limit_price),
        "stop_price": _text(order.stop_price),
        "reference_price": str(order.reference_price),
        "extended_hours": order.extended_hours,
        "position_intent": order.position_intent,
        "replaces": order.replaces,
        "order_class": order.order_class,
        "parent": order.parent,
        "active": order.active,
        "status": order.status,
        "submitted_at": order.submitted_at.isoformat(),
        "expires_at": order.expires_at.isoformat(),
    }


def order_from_record(record: Record) -> Order:
    """Rebuild the order of an ``accepted`` record, before anything happened to it."""
    submitted_at = datetime.fromisoformat(record["submitted_at"])
    return Order(
        id=record["id"],
        client_order_id=record["client_order_id"],
        symbol=record["symbol"],
        side=Side(record["side"]),
        type=OrderType(record["type"]),
        time_in_force=TimeInForce(record["time_in_force"]),
        quantity=Decimal(record["quantity"]),
        notional=_decimal(record["notional"]),
        limit_price=_decimal(record["limit_price"]),
        stop_price=_decimal(record["stop_price"]),
        reference_price=Decimal(record["reference_price"]),
        extended_hours=record["extended_hours"],
        position_intent=record["position_intent"],
        replaces=record["replaces"],
        status=Status(record["status"]),
        submitted_at=submitted_at,
        updated_at=submitted_at,
        expires_at=datetime.fromisoformat(record["expires_at"]),
        order_class=OrderClass(record.get("order_class", OrderClass.SIMPLE)),
        parent=record.get("parent"),
        active=record.get("active", True),
    )


def fill_record(fill: Fill) -> Record:
    return {
        "kind": "fill",
        "order_id": fill.order_id,
        "client_order_id": fill.client_order_id,
        "execution_id": fill.execution_id,
        "activity_id": fill.activity_id,
        "symbol": fill.symbol,
        "side": fill.side,
        "quantity": str(fill.quantity),
        "price": str(fill.price),
        "cumulative_quantity": str(fill.cumulative_quantity),
        "leaves_quantity": str(fill.leaves_quantity),
        "position_quantity": str(fill.position_quantity),
        "at": fill.at.isoformat(),
        **({"fee": str(fill.fee), "fee_asset": fill.fee_asset, "tells_fee": fill.tells_fee} if fill.fee else {}),
    }


def fill_from_record(record: Record) -> Fill:
    return Fill(
        execution_id=record["execution_id"],
        activity_id=record["activity_id"],
        order_id=record["order_id"],
        client_order_id=record["client_order_id"],
        symbol=record["symbol"],
        side=Side(record["side"]),
        quantity=Decimal(record["quantity"]),
        price=Decimal(record["price"]),
        cumulative_quantity=Decimal(record["cumulative_quantity"]),
        leaves_quantity=Decimal(record["leaves_quantity"]),
        position_quantity=Decimal(record["position_quantity"]),
        at=datetime.fromisoformat(record["at"]),
        fee=Decimal(record.get("fee", 0)),
        fee_asset=record.get("fee_asset", ""),
        tells_fee=record.get("tells_fee", True),
    )
