"""Which accounts can take orders at this moment: asked before an order is marked as being sent."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from brokers.core.halts import Halt, find_halt
from brokers.core.routing import Availability, choose_account
from brokers.selectors.kill_switch import list_halts
from brokers.services.accounts import get_profile, list_profiles
from brokers.services.guards import BrokerGuard, CallClass, get_guard
from reliability.core.jobs import JobError, Wait

SETTLE_SECONDS = 5.0
_NO_ROOM_SECONDS = 0.1
_steady_since: dict[int, float] = {}


@dataclass(slots=True)
class OrderGate:
    """What was seen of every account, and how many orders each has taken of this batch since."""

    seen: dict[int, Availability]
    guards: dict[int, BrokerGuard]
    taken: dict[int, int] = field(default_factory=dict)
    _halts: list[Halt] | None = None

    @classmethod
    def look(cls) -> "OrderGate":
        """Look at every account; nothing is reserved, so a call can still be refused."""
        now = time.monotonic()
        guards = {profile.id: get_guard(profile, CallClass.ORDERS) for profile in list_profiles()}
        return cls({account: _see(account, guard, now) for account, guard in guards.items()}, guards)

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

    def take(self, route: Sequence[int], *, is_retry: bool) -> int | None:
        """Return the account that takes one more order, or None.

        What it takes is counted, and a retry is paid for from the budget of its broker.
        """
        going = [one for one in route if self.halt_of(one) is None]
        account = choose_account(going, self._left(), SETTLE_SECONDS)
        if account is None or (is_retry and not self.guards[account].may_retry()):
            return None
        self.taken[account] = self.taken.get(account, 0) + 1
        return account

    def wait(self, route: Sequence[int], error: JobError) -> Wait:
        """Return the wait of an order that no account takes now: each gets a moment of its own."""
        left = self._left()
        going = [one for one in route if self.halt_of(one) is None] or route
        account = min(going, key=lambda one: left[one].wait_seconds)
        guard = self.guards[account]
        return Wait(guard.pace(left[account].wait_seconds), error, guard.circuit)

    def _left(self) -> dict[int, Availability]:
        return {account: self._after(account, one) for account, one in self.seen.items()}

    def _after(self, account: int, one: Availability) -> Availability:
        """Return what is left of an account's room after what it took of this batch."""
        if one.room > self.taken.get(account, 0):
            return one
        return replace(one, wait_seconds=max(one.wait_seconds, _NO_ROOM_SECONDS))


def _see(account: int, guard: BrokerGuard, now: float) -> Availability:
    wait = guard.wait_seconds()
    if wait > 0:
        _steady_since.pop(account, None)
        return Availability(wait, 0.0, 0)
    return Availability(0.0, now - _steady_since.setdefault(account, now), guard.room())
