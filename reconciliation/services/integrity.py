"""The integrity check after a recovery: facts from rows, and a freeze for each doubt."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.utils import timezone

from brokers.core.freezes import FreezeCause, FreezeMode
from brokers.core.halts import Scope, ScopeKind
from brokers.selectors.recovery import (
    get_account_name,
    orders_missing_fills,
    orders_touched_since,
    unbalanced_positions,
    unsettled_orders,
)
from brokers.services.freezes import freeze_trading
from brokers.services.history.rebuilding import compare_some_orders
from reconciliation.core.recovery import IntegrityFacts, RecoveryState
from reconciliation.models import RecoveryRun

MOST_ORDERS_CHECKED = 500
_BY = "recovery"
_AT_MOST_BACK = timedelta(hours=1)


def gather_facts(run: RecoveryRun) -> IntegrityFacts:
    """Return what the verdict on a run rests on; what was not touched since the last clean run is not read."""
    since = _touched_since(run)
    unknown = unsettled_orders(run.account_id, run.started_at)
    before = set(run.memo.get("missing_fills", ()))
    unbooked = [str(order_id) for order_id, _ in orders_missing_fills(run.account_id) if str(order_id) in before]
    touched = orders_touched_since(run.account_id, since, MOST_ORDERS_CHECKED)
    broken = [str(difference.order_id) for difference in compare_some_orders(touched)]
    return IntegrityFacts(
        unknown_orders=tuple(str(order_id) for order_id, _ in unknown),
        unbooked_orders=tuple(unbooked),
        unbalanced=tuple(unbalanced_positions(run.account_id, since)),
        differing=dict(run.differing),
        broken_orders=tuple(broken),
        open_gaps=int(run.memo.get("open_gaps", 0)),
    )


def freeze_what_is_in_doubt(run: RecoveryRun, facts: IntegrityFacts) -> None:
    """Freeze, for two persons to release, each symbol or account of which the verdict is not sure."""
    account = get_account_name(run.account_id).name
    evidence = {"run": run.pk}
    for symbol in sorted({symbol for _, symbol in unsettled_orders(run.account_id, run.started_at)}):
        reason = f"After recovery {run.pk} an order for {symbol} is still unknown."
        _freeze(Scope(ScopeKind.ACCOUNT, account, symbol), FreezeCause.UNKNOWN_ORDER, reason, evidence)
    for symbol, difference in facts.differing.items():
        reason = f"The broker's position in {symbol} differs by {difference} after recovery {run.pk}."
        told = {**evidence, "difference": difference}
        _freeze(Scope(ScopeKind.ACCOUNT, account, symbol), FreezeCause.POSITION_MISMATCH, reason, told)
    for symbol in facts.unbalanced:
        reason = f"The position in {symbol} is not the sum of its fills."
        _freeze(Scope(ScopeKind.ACCOUNT, account, symbol), FreezeCause.RECORD_BROKEN, reason, evidence)
    if facts.broken_orders:
        reason = f"{len(facts.broken_orders)} orders are not what their events make them."
        told = {**evidence, "orders": list(facts.broken_orders[:20])}
        _freeze(Scope(ScopeKind.ACCOUNT, account), FreezeCause.RECORD_BROKEN, reason, told)


def _freeze(scope: Scope, cause: FreezeCause, reason: str, evidence: Mapping[str, object]) -> None:
    freeze_trading(scope, FreezeMode.HALT, cause, reason=reason, evidence=evidence, by=_BY)


def _touched_since(run: RecoveryRun) -> datetime:
    """Return since when rows may be wrong: the start of the last clean run, an hour ago at most."""
    clean = RecoveryRun.objects.filter(account_id=run.account_id, state=RecoveryState.RECOVERED)
    last = clean.order_by("-generation").values_list("started_at", flat=True).first()
    oldest = timezone.now() - _AT_MOST_BACK
    return max(last, oldest) if last else oldest
