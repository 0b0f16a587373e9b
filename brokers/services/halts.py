"""Whether trading is stopped or frozen, asked on hot paths: read at most four times a second, never believed alone.

What is kept here answers callers early and with the reason. The statements that accept and
send orders look by themselves, each in its own snapshot.
"""

import threading
import time
from collections.abc import Sequence

from brokers.core.freezes import FreezeInForce, FreezeMode, find_freeze
from brokers.core.halts import Halt, find_halt
from brokers.core.order_requests import OrderRequest
from brokers.core.routing import WhenUnavailable
from brokers.selectors.freezes import list_freezes_in_force
from brokers.selectors.kill_switch import list_halts
from brokers.services.accounts import AccountProfile
from reliability.core.errors import ReliabilityError
from reliability.services.prepared import fetch_prepared

FRESH_SECONDS = 0.25
# Nearly always nothing is in force, and only this is asked.
_IN_FORCE = """
SELECT EXISTS (SELECT 1 FROM brokers_killswitch WHERE released_at IS NULL),
       EXISTS (SELECT 1 FROM brokers_freeze WHERE released_at IS NULL)
"""


class _Board:
    """The kill switches and freezes in force, as this process last read them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._halts: list[Halt] = []
        self._freezes: list[FreezeInForce] = []

    def halts(self) -> list[Halt]:
        self._refresh()
        return self._halts

    def freezes(self) -> list[FreezeInForce]:
        self._refresh()
        return self._freezes

    def _refresh(self) -> None:
        if time.monotonic() - self._read_at > FRESH_SECONDS:
            asked_at = time.monotonic()
            ((stopped, frozen),) = fetch_prepared(_IN_FORCE, [])
            halts, freezes = list_halts() if stopped else [], list_freezes_in_force() if frozen else []
            with self._lock:
                if asked_at > self._read_at:
                    self._halts, self._freezes, self._read_at = halts, freezes, asked_at

    def forget(self) -> None:
        with self._lock:
            self._read_at = float("-inf")


_board = _Board()


def forget_halts() -> None:
    """Read again at the next question: after a kill switch or a freeze began or ended here."""
    _board.forget()


def current_halt(profile: AccountProfile) -> Halt | None:
    """Return the kill switch that stops an account, as of at most 250 ms ago."""
    return find_halt(_board.halts(), account=profile.name, broker=profile.broker)


def read_halt(profile: AccountProfile) -> Halt | None:
    """Return the kill switch that stops an account now, read from the table."""
    return find_halt(list_halts(), account=profile.name, broker=profile.broker)


def leave_out_halted(profiles: Sequence[AccountProfile]) -> list[AccountProfile]:
    """Return those accounts of a route that no kill switch stops; raises ``ReliabilityError`` when all are stopped."""
    halts = _board.halts()
    if not halts:
        return list(profiles)
    going = [one for one in profiles if find_halt(halts, account=one.name, broker=one.broker) is None]
    if not going:
        halt = find_halt(halts, account=profiles[0].name, broker=profiles[0].broker)
        raise halted_error(halt)
    return going


def halted_error(halt: Halt | None) -> ReliabilityError:
    """Return the refusal that names who stopped trading, when and why; None: it was released this very moment."""
    if halt is None:
        return ReliabilityError("VALIDATION_TRADING_HALTED", "Trading was stopped until this moment: send it again.")
    details = {
        "scope": str(halt.scope),
        "reason": halt.reason,
        "engaged_by": halt.engaged_by,
        "engaged_at": halt.engaged_at.isoformat(),
    }
    return ReliabilityError("VALIDATION_TRADING_HALTED", halt_text(halt), details=details)


def halt_text(halt: Halt) -> str:
    """Return one sentence on a kill switch in force."""
    return f"The kill switch {halt.scope} was engaged by {halt.engaged_by}: {halt.reason}"


def refuse_frozen(profiles: Sequence[AccountProfile], request: OrderRequest) -> None:
    """Raise ``ReliabilityError`` for an order that wants no waiting while every account of its route is halted for it.

    Whether an order reduces a position is decided when it is to be sent.
    """
    freezes = _board.freezes()
    if not freezes or request.when_unavailable is not WhenUnavailable.REFUSE:
        return
    symbol = request.terms.symbol
    found = [find_freeze(freezes, account=one.name, broker=one.broker, symbol=symbol) for one in profiles]
    halting = [freeze for freeze in found if freeze is not None and freeze.mode is FreezeMode.HALT]
    if len(halting) == len(profiles):
        raise frozen_error(halting[0])


def frozen_error(freeze: FreezeInForce) -> ReliabilityError:
    """Return the refusal that names what is frozen, since when and why."""
    details = {
        "freeze": freeze.id,
        "scope": str(freeze.scope),
        "mode": freeze.mode.value,
        "cause": freeze.cause.value,
        "reason": freeze.reason,
        "frozen_at": freeze.frozen_at.isoformat(),
    }
    return ReliabilityError("VALIDATION_TRADING_FROZEN", frozen_text(freeze), details=details)


def frozen_text(freeze: FreezeInForce) -> str:
    """Return one sentence on a freeze in force."""
    only = " but for orders that reduce a position" if freeze.mode is FreezeMode.REDUCE_ONLY else ""
    return f"Trading is frozen{only} ({freeze.scope}, freeze {freeze.id}): {freeze.reason}"


def frozen_wait_name(account: str) -> str:
    """Return what jobs of an account's frozen orders wait for, as ``recall_jobs`` knows it."""
    return f"frozen:{account}"
