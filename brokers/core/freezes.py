"""Freezes of trading, without a database: what each lets through, and who may lift it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from brokers.core.halts import Scope, ScopeKind, parse_scope
from brokers.core.order_requests import is_usable_symbol

SCOPE_HELP = "write global, broker:NAME, account:NAME or account:NAME/symbol:SYMBOL"


class FreezeMode(StrEnum):
    """``REDUCE_ONLY`` is for a position that is known, ``HALT`` for one that is not. Cancels and reads always pass."""

    REDUCE_ONLY = "reduce_only"
    HALT = "halt"


class FreezeCause(StrEnum):
    """Why trading is frozen."""

    STREAM_DOWN = "stream_down"
    BROKER_UNREACHABLE = "broker_unreachable"
    RECOVERY = "recovery"
    RECONCILIATION_LATE = "reconciliation_late"
    CLOCK_SKEW = "clock_skew"
    AUTH_FAILURE = "auth_failure"
    PERSON = "person"
    UNKNOWN_ORDER = "unknown_order"
    POSITION_MISMATCH = "position_mismatch"
    CASH_MISMATCH = "cash_mismatch"
    OVERFILL = "overfill"
    EXTERNAL_ACTIVITY = "external_activity"
    RECORD_BROKEN = "record_broken"


class ReleaseRule(StrEnum):
    """Who lets trading go on: the program after one clean cycle, a person, or two where money is in doubt."""

    AUTOMATIC = "automatic"
    ONE_PERSON = "one_person"
    TWO_PERSONS = "two_persons"


_AUTOMATIC = frozenset(
    {
        FreezeCause.STREAM_DOWN,
        FreezeCause.BROKER_UNREACHABLE,
        FreezeCause.RECOVERY,
        FreezeCause.RECONCILIATION_LATE,
        FreezeCause.CLOCK_SKEW,
    }
)
_ONE_PERSON = frozenset({FreezeCause.AUTH_FAILURE, FreezeCause.PERSON})


def release_rule(cause: FreezeCause) -> ReleaseRule:
    """Return who may lift a freeze of this cause; a cause nobody thought of needs two persons."""
    if cause in _AUTOMATIC:
        return ReleaseRule.AUTOMATIC
    return ReleaseRule.ONE_PERSON if cause in _ONE_PERSON else ReleaseRule.TWO_PERSONS


MONEY_IN_DOUBT = frozenset(cause for cause in FreezeCause if release_rule(cause) is ReleaseRule.TWO_PERSONS)


@dataclass(frozen=True, slots=True)
class FreezeInForce:
    """One freeze that is in force: what it is about, since when, by whom and why."""

    id: int
    scope: Scope
    mode: FreezeMode
    cause: FreezeCause
    reason: str
    frozen_by: str
    frozen_at: datetime

    def covers(self, *, account: str, broker: str, symbol: str) -> bool:
        """Return whether orders for a symbol on an account at a broker are frozen by it."""
        return self.scope.symbol in ("", symbol) and self.scope.covers(account=account, broker=broker)


def parse_freeze_scope(text: str) -> Scope:
    """Return the scope that a text names, see ``SCOPE_HELP``; raises ``ValueError``."""
    whole, sign, symbol = text.partition("/symbol:")
    try:
        scope = parse_scope(whole)
    except ValueError:
        raise ValueError(SCOPE_HELP) from None
    if not sign:
        return scope
    if scope.kind is not ScopeKind.ACCOUNT or not is_usable_symbol(symbol):
        raise ValueError(SCOPE_HELP)
    return replace(scope, symbol=symbol)


def find_freeze(freezes: Iterable[FreezeInForce], *, account: str, broker: str, symbol: str) -> FreezeInForce | None:
    """Return the freeze that decides on orders for a symbol on an account: halts first, then the widest."""
    found = [one for one in freezes if one.covers(account=account, broker=broker, symbol=symbol)]
    return min(found, key=_strictest_first, default=None)


def _strictest_first(freeze: FreezeInForce) -> tuple[bool, int, bool, int]:
    kind = list(ScopeKind).index(freeze.scope.kind)
    return freeze.mode is not FreezeMode.HALT, kind, bool(freeze.scope.symbol), freeze.id
