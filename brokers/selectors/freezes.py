"""Reading freezes: what is frozen now, and what was."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, OuterRef, QuerySet, Subquery

from brokers.core.freezes import FreezeCause, FreezeInForce, FreezeMode, release_rule
from brokers.models import Account, Freeze, FreezeEvent

SETTLED = "settled"
"""The kind of the event that notes when the outcome of each order for a frozen symbol was known."""

# Accounts and symbols of accounts under any freeze, as arrays to compare with inside a statement: each
# is worked out once a statement, in the statement's own snapshot.
FROZEN_ACCOUNTS = """ARRAY(
    SELECT a.id FROM brokers_freeze f JOIN brokers_account a
    ON a.id = f.account_id OR a.broker_id = f.broker_id OR (f.account_id IS NULL AND f.broker_id IS NULL)
    WHERE f.released_at IS NULL AND f.symbol = '')"""
FROZEN_SYMBOLS = """ARRAY(
    SELECT f.account_id || '/' || f.symbol FROM brokers_freeze f WHERE f.released_at IS NULL AND f.symbol <> '')"""


def list_freezes_in_force() -> list[FreezeInForce]:
    """Return every freeze in force."""
    rows = Freeze.objects.select_related("account").filter(released_at=None).order_by("id")
    return [freeze_value(row) for row in rows]


def account_freezes(account: str) -> list[FreezeInForce]:
    """Return the freezes in force of one whole account, without those of its symbols, its broker or everything."""
    rows = Freeze.objects.select_related("account").filter(released_at=None, symbol="", account__name=account)
    return [freeze_value(row) for row in rows.order_by("id")]


@dataclass(frozen=True, slots=True)
class DoubtfulSymbol:
    """A symbol frozen because an order was unknown; ``settled_at`` is when it was noted that none is any more."""

    freeze_id: int
    account_id: int
    symbol: str
    settled_at: datetime | None


def list_doubtful_symbols() -> list[DoubtfulSymbol]:
    """Return the symbols frozen for unknown orders, without those that a reconciliation found different."""
    rows = Freeze.objects.filter(released_at=None, cause=FreezeCause.UNKNOWN_ORDER, account__isnull=False)
    rows = rows.exclude(symbol="").exclude(evidence__has_key="discrepancy").order_by("id")
    noted = FreezeEvent.objects.filter(freeze=OuterRef("pk"), kind=SETTLED).order_by("-id").values("recorded_at")[:1]
    columns = rows.annotate(settled_at=Subquery(noted)).values_list("pk", "account_id", "symbol", "settled_at")
    return [
        DoubtfulSymbol(pk, account_id, symbol, at) for pk, account_id, symbol, at in columns if account_id is not None
    ]


def freeze_value(row: Freeze) -> FreezeInForce:
    """Return a row as a plain value."""
    mode, cause = FreezeMode(row.mode), FreezeCause(row.cause)
    return FreezeInForce(row.pk, row.scope, mode, cause, row.reason, row.frozen_by, row.frozen_at)


def accounts_frozen_by(freeze: Freeze) -> QuerySet[Account]:
    if freeze.account_id:
        return Account.objects.filter(pk=freeze.account_id)
    return Account.objects.filter(broker=freeze.broker_id) if freeze.broker_id else Account.objects.all()


def list_freezes(*, in_force: bool | None = None, limit: int = 50) -> list[Freeze]:
    """Return freezes, newest first."""
    rows = Freeze.objects.select_related("account").order_by("-id")
    if in_force is not None:
        rows = rows.filter(released_at__isnull=in_force)
    return list(rows[:limit])


def count_freezes() -> dict[str, int]:
    """Return how many freezes are in force, by cause; causes without any are left out."""
    rows = Freeze.objects.filter(released_at=None).order_by()
    return dict(rows.values_list("cause").annotate(number=Count("pk")))


def find_freeze_row(freeze_id: int) -> Freeze | None:
    return Freeze.objects.select_related("account").filter(pk=freeze_id).first()


def list_freeze_events(freeze_id: int) -> list[FreezeEvent]:
    """Return what happened to a freeze, oldest first."""
    return list(FreezeEvent.objects.filter(freeze=freeze_id).order_by("id"))


def freeze_facts(freeze: Freeze) -> dict[str, Any]:
    """Return one freeze as plain data."""
    return {
        "id": freeze.pk,
        "scope": str(freeze.scope),
        "mode": freeze.mode,
        "cause": freeze.cause,
        "release_rule": release_rule(FreezeCause(freeze.cause)).value,
        "in_force": freeze.released_at is None,
        "reason": freeze.reason,
        "evidence": freeze.evidence,
        "frozen_by": freeze.frozen_by,
        "frozen_at": freeze.frozen_at,
        "release_wanted_by": freeze.release_wanted_by or None,
        "release_wanted_at": freeze.release_wanted_at,
        "release_reason": freeze.release_reason or None,
        "released_by": freeze.released_by or None,
        "released_at": freeze.released_at,
    }
