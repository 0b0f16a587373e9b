"""Freezes for what happened at a broker and should not have: it is booked as it is, and its symbol is frozen."""

from decimal import Decimal
from uuid import UUID

from brokers.core.freezes import FreezeCause, FreezeMode
from brokers.core.halts import Scope, ScopeKind
from brokers.core.reports import OrderReport
from brokers.services.accounts import get_profile
from brokers.services.freezes import freeze_trading
from reliability.core.presentation import amount_text

BY = "fills"


def freeze_overfilled(account_id: int, symbol: str, order_id: UUID, excess: Decimal) -> None:
    """Freeze a symbol of which more was traded than wanted, in the caller's transaction."""
    reason = f"An order was filled {amount_text(excess)} {symbol} beyond its quantity."
    evidence = {"order": str(order_id), "overfilled_by": str(excess)}
    scope = Scope(ScopeKind.ACCOUNT, get_profile(account_id).name, symbol)
    freeze_trading(scope, FreezeMode.HALT, FreezeCause.OVERFILL, reason=reason, evidence=evidence, by=BY)


def freeze_external(account_id: int, report: OrderReport) -> None:
    """Let only reducing orders through for a symbol that somebody else trades, in the caller's transaction.

    The position is known: fills of such orders are booked, and their open rest counts.
    """
    reason = f"An order to {report.side} {report.symbol} was not placed here ({report.broker_order_id})."
    evidence = {"broker_order_id": report.broker_order_id}
    scope = Scope(ScopeKind.ACCOUNT, get_profile(account_id).name, report.symbol)
    cause = FreezeCause.EXTERNAL_ACTIVITY
    freeze_trading(scope, FreezeMode.REDUCE_ONLY, cause, reason=reason[:500], evidence=evidence, by=BY)
