"""Which freezes stop which orders, asked under the orders' locks just before they are marked as being sent."""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from decimal import Decimal

from django.db import connection

from brokers.core.exposure import Exposure, provably_reduces
from brokers.core.freezes import FreezeInForce, FreezeMode, find_freeze
from brokers.core.orders import Side
from brokers.selectors.exposure import read_exposure
from brokers.selectors.freezes import list_freezes_in_force
from brokers.services.accounts import get_profile
from brokers.services.order_batch import OrderRow

REDUCING_CLASS = 0x5247  # the first key of the lock on deciding what reduces a position

_Place = tuple[int, str]


@dataclass(slots=True)
class FreezeGate:
    """The freezes as read at the first question, and what was let through to reduce positions since."""

    _freezes: list[FreezeInForce] | None = None
    _reducing: dict[tuple[_Place, Side], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    _is_locked: bool = False

    def freeze_of(self, account: int, row: OrderRow) -> FreezeInForce | None:
        """Return the freeze that keeps an order from being sent to an account."""
        freeze = self._covering(account, row)
        if freeze is None or freeze.mode is FreezeMode.HALT:
            return freeze
        return None if self._reduces(account, row) else freeze

    def sending(self, account: int, row: OrderRow) -> None:
        """Remember that an order goes to an account: what it may still trade is not there for others."""
        if self._freezes and row.quantity is not None:
            self._reducing[(account, row.symbol), Side(row.side)] += row.quantity

    def _covering(self, account: int, row: OrderRow) -> FreezeInForce | None:
        if self._freezes is None:
            self._freezes = list_freezes_in_force()
        if not self._freezes:
            return None
        profile = get_profile(account)
        return find_freeze(self._freezes, account=profile.name, broker=profile.broker, symbol=row.symbol)

    def _reduces(self, account: int, row: OrderRow) -> bool:
        self._lock()
        exposure = self._add_own(read_exposure(account, row.symbol, besides=[row.id]), (account, row.symbol))
        return provably_reduces(exposure, Side(row.side), row.quantity)

    def _add_own(self, exposure: Exposure, place: _Place) -> Exposure:
        """Return the exposure with the orders of this batch, which no other statement sees yet."""
        buying, selling = self._reducing[place, Side.BUY], self._reducing[place, Side.SELL]
        return replace(
            exposure,
            buying=None if exposure.buying is None else exposure.buying + buying,
            selling=None if exposure.selling is None else exposure.selling + selling,
        )

    def _lock(self) -> None:
        """Let one transaction at a time decide: two orders that each reduce a position may turn it together."""
        if not self._is_locked:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [REDUCING_CLASS])
            self._is_locked = True
