"""The order lifecycle: the states an order can be in and the moves between them."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


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


class OrderState(StrEnum):
    """Where an order stands, as we recorded it.

    ``ACCEPTED`` is durable and not sent; ``SENDING`` was committed before the network was
    touched; ``UNKNOWN`` was sent and nobody knows; ``REFUSED`` provably never became an
    order at the broker. The rest is what the broker said.
    """

    ACCEPTED = "accepted"
    SENDING = "sending"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    WORKING = "working"
    PARTIALLY_FILLED = "partially_filled"
    REJECTED = "rejected"
    REPLACED = "replaced"
    EXPIRED = "expired"
    CANCELED = "canceled"
    FILLED = "filled"


FINAL_STATES = frozenset(
    {
        OrderState.REFUSED,
        OrderState.REJECTED,
        OrderState.REPLACED,
        OrderState.EXPIRED,
        OrderState.CANCELED,
        OrderState.FILLED,
    }
)
OPEN_STATES = frozenset(OrderState) - FINAL_STATES
AT_BROKER_STATES = frozenset({OrderState.WORKING, OrderState.PARTIALLY_FILLED})

# Rank of each state: evidence only moves an order to a state of higher rank. The ranks of
# the final states are a total order, so that two pieces of evidence give the same result
# whichever is applied first.
STATE_RANK: dict[OrderState, int] = {state: rank for rank, state in enumerate(OrderState)}

# Moves that we make ourselves, without evidence from the broker.
OWN_TRANSITIONS: frozenset[tuple[OrderState, OrderState]] = frozenset(
    {
        (OrderState.ACCEPTED, OrderState.SENDING),  # attempt committed, about to send
        (OrderState.SENDING, OrderState.ACCEPTED),  # provably not sent
        (OrderState.SENDING, OrderState.UNKNOWN),  # sent, no usable reply; or the sender died
        (OrderState.UNKNOWN, OrderState.SENDING),  # absence proven, sent again under the same id
        (OrderState.SENDING, OrderState.REFUSED),  # the broker refused the call
        (OrderState.UNKNOWN, OrderState.REFUSED),  # absence proven and not to be sent again
        (OrderState.ACCEPTED, OrderState.REFUSED),  # never sent, refused on our side
        (OrderState.ACCEPTED, OrderState.CANCELED),  # canceled before it was sent
        (OrderState.ACCEPTED, OrderState.REPLACED),  # replaced before it was sent
    }
)


def may_move(current: OrderState, target: OrderState) -> bool:
    """Return whether an order in ``current`` may ever become ``target``."""
    if (current, target) in OWN_TRANSITIONS:
        return True
    return STATE_RANK[target] >= STATE_RANK[OrderState.WORKING] and STATE_RANK[target] > STATE_RANK[current]


class OrderClass(StrEnum):
    """What hangs together: an entry and both its exits, an entry and one of them, a limit order and a stop loss."""

    BRACKET = "bracket"
    OTO = "oto"
    OCO = "oco"


class ExitRole(StrEnum):
    """What an exit is for: to take a profit at a limit, or to end a loss at a stop."""

    TAKE_PROFIT = "take_profit"
    STOP_LOSS = "stop_loss"


@dataclass(frozen=True, slots=True)
class Exits:
    """The exits of an order: prices per unit, at least one; ``stop_loss_limit`` is the limit of the stop loss."""

    order_class: OrderClass
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    stop_loss_limit: Decimal | None = None


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What is to be traded. Exactly one of ``quantity`` and ``notional`` is set; prices are per unit.

    ``exits`` are orders that the broker holds ready to close what this one opens.
    """

    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    extended_hours: bool = False
    exits: Exits | None = None
