"""What an account may come to hold: its position, and all that its orders may still trade, added up."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from brokers.core.orders import Side


class PendingKind(StrEnum):
    """Where orders that may still trade stand.

    ``WAITING`` is recorded and not sent, ``OPEN`` is being sent or at the broker, ``UNKNOWN`` was sent and
    nobody knows, ``EXTERNAL`` was placed elsewhere, ``UNBOOKED`` ended, with fills that nobody has booked yet.
    """

    WAITING = "waiting"
    OPEN = "open"
    UNKNOWN = "unknown"
    EXTERNAL = "external"
    UNBOOKED = "unbooked"


@dataclass(frozen=True, slots=True)
class Exposure:
    """What is recorded of one symbol on one account.

    ``held`` is the signed position; ``buying`` and ``selling`` are how much orders at the broker
    may still trade, None where nobody can say.
    """

    held: Decimal
    buying: Decimal | None
    selling: Decimal | None


@dataclass(frozen=True, slots=True)
class Pending:
    """What the orders of one side and kind may still trade.

    ``quantity`` is None where one of them is by money, ``notional`` where one has neither a price nor an amount
    of money; ``oldest_at`` is when the first of them was sent.
    """

    side: Side
    kind: PendingKind
    orders: int
    quantity: Decimal | None
    notional: Decimal | None
    oldest_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SymbolExposure:
    """What one account holds of a symbol, signed, and what its orders may still trade, by side and kind."""

    account_id: int
    account: str
    symbol: str
    held: Decimal
    average_price: Decimal
    pending: tuple[Pending, ...] = ()

    @property
    def worst_long(self) -> Decimal | None:
        """The most that can be held: every buy fills and no sell does. None where nobody can say."""
        buying = self._quantity(Side.BUY)
        return None if buying is None else self.held + buying

    @property
    def worst_short(self) -> Decimal | None:
        """The least that can be held, negative when short: every sell fills and no buy does."""
        selling = self._quantity(Side.SELL)
        return None if selling is None else self.held - selling

    def _quantity(self, side: Side) -> Decimal | None:
        return add_up(part.quantity for part in self.pending if part.side is side)


def add_up(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Return the sum; None if any of them is not known."""
    total = Decimal(0)
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return total


def provably_reduces(exposure: Exposure, side: Side, quantity: Decimal | None) -> bool:
    """Return whether an order can only bring a position nearer to zero, whatever becomes of the open orders.

    An order by money, or beside an open one by money, proves nothing.
    """
    pending = exposure.buying if side is Side.BUY else exposure.selling
    if quantity is None or pending is None:
        return False
    held = -exposure.held if side is Side.BUY else exposure.held
    return held > 0 and pending + quantity <= held
