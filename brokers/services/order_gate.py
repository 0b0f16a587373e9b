"""Which accounts can take orders at this moment: asked before an order is marked as being sent."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from brokers.core.halts import Halt, find_halt
from brokers.core.routing import Availability, choose_account
from brokers.selectors.kill_switch import list_halts
from brokers.services.accounts import get_profile, list_profiles
from brokers.services.freeze_gate import FreezeGate
from brokers.services.guards import BrokerGuard, CallClass, get_guard
from brokers.services.halts import frozen_text, frozen_wait_name
from brokers.services.order_batch import OrderRow
from brokers.services.reachability import unreachable_accounts, unreachable_wait_name
from reliability.core.jobs import JobError, Wait

SETTLE_SECONDS = 5.0
_NO_ROOM_SECONDS = 0.1
_FROZEN_SECONDS = 3.0  # the release of a freeze calls its orders back sooner
_UNREACHABLE_SECONDS = 3.0  # its orders are called back sooner, when the broker answers again
_steady_since: dict[int, float] = {}


@dataclass(slots=True)
class OrderGate:
    """What was seen of every account, and how many orders each has taken of this batch since."""

    seen: dict[int, Availability]
    guards: dict[int, BrokerGuard]
    taken: dict[int, int] = field(default_factory=dict)
    freezes: FreezeGate = field(default_factory=FreezeGate)
    unreachable: frozenset[int] = frozenset()
    _halts: list[Halt] | None = None

    @classmethod
    def look(cls) -> "OrderGate":
        """Look at every account; nothing is reserved, so a call can still be refused."""
        now, gone = time.monotonic(), unreachable_accounts()
        guards = {profile.id: get_guard(profile, CallClass.ORDERS) for profile in list_profiles()}
        seen = {account: _see(account, guard, now, account in gone) for account, guard in guards.items()}
        return cls(seen, guards, unreachable=gone)

    def narrow(self, wanted: int) -> list[int]:
        """Return the accounts that cannot take ``wanted`` orders at once."""
        return [account for account, one in self.seen.items() if one.wait_seconds > 0 or one.room < wanted]

    def halt_of(self, account: int) -> Halt | None:
        """Return the kill switch that stops an account.

        The switches are read once, at the first question: after the orders it is asked for
        were locked, so that an order accepted after a switch was committed never passes.
        """
        if self._halts is None:
            self._halts = list_halts()
        if not self._halts:
            return None
        profile = get_profile(account)
        return find_halt(self._halts, account=profile.name, broker=profile.broker)

    def take(self, route: Sequence[int], row: OrderRow, *, is_retry: bool) -> int | None:
        """Return the account that takes this order, or None.

        What it takes is counted, and a retry is paid for from the budget of its broker.
        """
        going = [one for one in self._not_halted(route) if self.freezes.freeze_of(one, row) is None]
        account = choose_account(going, self._left(), SETTLE_SECONDS)
        if account is None or (is_retry and not self.guards[account].may_retry()):
            return None
        self.taken[account] = self.taken.get(account, 0) + 1
        self.freezes.sending(account, row)
        return account

    def wait(self, route: Sequence[int], row: OrderRow, error: JobError) -> Wait:
        """Return the wait of an order that no account takes now: each gets a moment of its own."""
        left = self._left()
        going = self._not_halted(route) or route
        frozen = {one: freeze for one in going if (freeze := self.freezes.freeze_of(one, row)) is not None}
        account = min(going, key=lambda one: (one in frozen, left[one].wait_seconds))
        if account in frozen:
            why = JobError("VALIDATION_TRADING_FROZEN", frozen_text(frozen[account]), {"freeze": frozen[account].id})
            name = frozen_wait_name(get_profile(account).name)
            return Wait(self.guards[account].pace(_FROZEN_SECONDS), why, name)
        guard = self.guards[account]
        name = guard.circuit
        if account in self.unreachable:
            name = unreachable_wait_name(get_profile(account).name)
        return Wait(guard.pace(left[account].wait_seconds), error, name)

    def _not_halted(self, route: Sequence[int]) -> list[int]:
        return [one for one in route if self.halt_of(one) is None]

    def _left(self) -> dict[int, Availability]:
        return {account: self._after(account, one) for account, one in self.seen.items()}

    def _after(self, account: int, one: Availability) -> Availability:
        """Return what is left of an account's room after what it took of this batch."""
        if one.room > self.taken.get(account, 0):
            return one
        return replace(one, wait_seconds=max(one.wait_seconds, _NO_ROOM_SECONDS))


def _see(account: int, guard: BrokerGuard, now: float, is_gone: bool) -> Availability:
    wait = max(guard.wait_seconds(), _UNREACHABLE_SECONDS if is_gone else 0.0)
    if wait > 0:
        _steady_since.pop(account, None)
        return Availability(wait, 0.0, 0)
    return Availability(0.0, now - _steady_since.setdefault(account, now), guard.room())
