"""Kill switches in force, without a database: what each stops, and what a scope is called."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

_NAME = re.compile(r"[-a-zA-Z0-9_]{1,32}")


class ScopeKind(StrEnum):
    """How much a kill switch or a freeze stops."""

    GLOBAL = "global"
    BROKER = "broker"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a kill switch or a freeze stops; ``name`` is empty for everything there is.

    ``symbol`` narrows an account to one symbol; only freezes can.
    """

    kind: ScopeKind
    name: str = ""
    symbol: str = ""

    def __str__(self) -> str:
        whole = f"{self.kind.value}:{self.name}" if self.name else self.kind.value
        return f"{whole}/symbol:{self.symbol}" if self.symbol else whole

    def covers(self, *, account: str, broker: str) -> bool:
        """Return whether an account at a broker is stopped by it, or one symbol of it."""
        return {ScopeKind.GLOBAL: "", ScopeKind.BROKER: broker, ScopeKind.ACCOUNT: account}[self.kind] == self.name


@dataclass(frozen=True, slots=True)
class Halt:
    """One kill switch in force: since when, by whom and why."""

    id: int
    scope: Scope
    reason: str
    engaged_by: str
    engaged_at: datetime


def parse_scope(text: str) -> Scope:
    """Return the scope that ``global``, ``broker:NAME`` or ``account:NAME`` names; raises ``ValueError``."""
    kind, sign, name = text.partition(":")
    try:
        scope = Scope(ScopeKind(kind), name)
    except ValueError:
        raise ValueError("write global, broker:NAME or account:NAME") from None
    if (scope.kind is ScopeKind.GLOBAL and sign) or (scope.kind is not ScopeKind.GLOBAL and not _NAME.fullmatch(name)):
        raise ValueError("write global, broker:NAME or account:NAME")
    return scope


def find_halt(halts: Iterable[Halt], *, account: str, broker: str) -> Halt | None:
    """Return the kill switch that stops an account, the widest if several do."""
    widest_first = sorted(halts, key=lambda halt: (list(ScopeKind).index(halt.scope.kind), halt.id))
    return next((halt for halt in widest_first if halt.scope.covers(account=account, broker=broker)), None)
