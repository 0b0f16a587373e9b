"""What a broker says, in broker-neutral words: reports are evidence, never commands."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from brokers.core.corporate_actions import CashEntryKind
from brokers.core.orders import ExitRole, OrderState, Side


class ReportedStatus(StrEnum):
    """State of an order as the broker reports it. Pending cancels and replaces count as ``WORKING``."""

    WORKING = "working"
    PARTIALLY_FILLED = "partially_filled"
    REJECTED = "rejected"
    REPLACED = "replaced"
    EXPIRED = "expired"
    CANCELED = "canceled"
    FILLED = "filled"

    @property
    def state(self) -> OrderState:
        return OrderState(self.value)


@dataclass(frozen=True, slots=True)
class OrderReport:
    """One order as the broker reports it at one moment.

    ``filled_quantity`` is cumulative. ``client_order_id`` is empty for orders that were
    placed elsewhere on the account without one. ``cancel_pending`` and ``replace_pending``
    are the broker's own overlays. ``legs`` are the exits that hang on it, None where the
    message does not tell them.
    """

    client_order_id: str
    broker_order_id: str
    status: ReportedStatus
    symbol: str
    side: Side
    filled_quantity: Decimal
    quantity: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    average_price: Decimal | None = None
    cancel_pending: bool = False
    replace_pending: bool = False
    replaced_by: str = ""
    reported_at: datetime | None = None
    stop_price: Decimal | None = None
    legs: "tuple[OrderReport, ...] | None" = None

    @property
    def exit_role(self) -> ExitRole:
        """What it is for as the leg of another order: only a stop loss has a stop price."""
        return ExitRole.TAKE_PROFIT if self.stop_price is None else ExitRole.STOP_LOSS


@dataclass(frozen=True, slots=True)
class Fee:
    """What one execution cost, in a currency or in the asset it was taken out of; negative is a rebate."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class FillReport:
    """One execution.

    ``execution_id`` identifies it for the broker. ``cumulative_quantity`` is the order's
    filled quantity after it and identifies it a second way, because a stream and an
    activity list need not agree on ids. ``cursor`` is its place in the broker's list of
    fills, empty when it came another way. ``fees`` are those that the message tells, one per
    currency; a broker may tell them later, with the same execution again, or in no execution at all.
    """

    execution_id: str
    broker_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    executed_at: datetime
    client_order_id: str = ""
    cumulative_quantity: Decimal | None = None
    cursor: str = ""
    fees: tuple[Fee, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One message of an order stream: the order as it stood, and the fill if it was one."""

    name: str
    order: OrderReport
    fill: FillReport | None = None


@dataclass(frozen=True, slots=True)
class FillPage:
    """Fills after a cursor, oldest first, and the cursor to go on from (unchanged if there were none)."""

    fills: tuple[FillReport, ...]
    cursor: str
    is_last: bool = True


@dataclass(frozen=True, slots=True)
class OrderPage:
    """A part of a list of orders, and the place to go on from; ``after`` is empty behind the last part."""

    orders: tuple[OrderReport, ...]
    after: str = ""


@dataclass(frozen=True, slots=True)
class ReportedBar:
    """One bar of market data as a source gave it: nothing is checked, every value may be anything.

    ``given`` has timestamp, open, high, low, close and volume. ``is_revision`` says that the source itself calls it a
    new version of a bar that it sent before.
    """

    symbol: str
    given: Mapping[str, Any]
    is_revision: bool = False


class TickKind(StrEnum):
    QUOTE = "quote"
    TRADE = "trade"


@dataclass(frozen=True, slots=True)
class ReportedTick:
    """The last quote or trade of a symbol as a source gave it: nothing is checked, every value may be anything.

    ``given`` has timestamp, and bid, bid_size, ask, ask_size of a quote or price and size of a trade. The timestamp is
    None where the source gives none.
    """

    symbol: str
    kind: TickKind
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MarketNews:
    """What a stream of market data brought at once."""

    bars: tuple[ReportedBar, ...] = ()
    ticks: tuple[ReportedTick, ...] = ()


@dataclass(frozen=True, slots=True)
class BarPage:
    """A part of the bars asked for, oldest first; ``next_token`` is empty behind the last part."""

    bars: tuple[ReportedBar, ...]
    next_token: str = ""


@dataclass(frozen=True, slots=True)
class PositionReport:
    """A holding; ``average_price`` is 0 where the broker does not say, ``reserved`` is what open orders hold of it."""

    symbol: str
    quantity: Decimal
    average_price: Decimal
    reserved: Decimal | None = None


@dataclass(frozen=True, slots=True)
class AccountReport:
    """Balances of one account, in its currency; ``reserved`` is cash that open orders hold, None where nobody says.

    ``clock_offset`` is how far the broker's clock provably is ahead of ours, negative behind, None where nobody says.
    """

    broker_account_id: str
    currency: str
    cash: Decimal
    equity: Decimal
    buying_power: Decimal
    trading_blocked: bool
    reserved: Decimal | None = None
    clock_offset: timedelta | None = None


@dataclass(frozen=True, slots=True)
class CashReport:
    """Cash that moved without an execution, as the broker lists it under ``movement_id``; negative is paid."""

    movement_id: str
    kind: CashEntryKind
    amount: Decimal
    currency: str
    day: date
    symbol: str = ""
    told: str = ""


@dataclass(frozen=True, slots=True)
class InstrumentReport:
    symbol: str
    name: str
    tradable: bool
    fractionable: bool
