"""The integrity check after a recovery: facts from rows, and a freeze for each doubt."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from brokers.core.freezes import FreezeCause, FreezeMode
from brokers.core.halts import Scope, ScopeKind
from brokers.selectors.recovery import (
    get_account_name,
    newest_order_event_id,
    orders_missing_fills,
    orders_touched_since,
    unbalanced_positions,
    unsettled_orders,
)
from brokers.services.freezes import freeze_trading
from brokers.services.history.chains import broken_seals
from brokers.services.history.rebuilding import compare_some_orders
from reconciliation.core.recovery import IntegrityFacts, RecoveryState
from reconciliation.models import RecoveryRun

MOST_ORDERS_CHECKED = 4000
_AT_ONCE = 500
_BY = "recovery"
_AT_MOST_BACK = timedelta(hours=1)


def gather_facts(run: RecoveryRun) -> IntegrityFacts:
    """Return what the verdict on a run rests on; what was not touched since the last clean run is not read."""
    since = _touched_since(run)
    unknown = unsettled_orders(run.account_id, run.started_at)
    before = set(run.memo.get("missing_fills", ()))
    unbooked = [str(order_id) for order_id, _ in orders_missing_fills(run.account_id) if str(order_id) in before]
    newest = newest_order_event_id()
    touched = orders_touched_since(run.account_id, _judged_up_to(run), MOST_ORDERS_CHECKED)
    broken, seals = _check_records(touched)
    run.memo["judged_event"], run.memo["judged_orders"] = newest, len(touched)
    return IntegrityFacts(
        unknown_orders=tuple(str(order_id) for order_id, _ in unknown),
        unbooked_orders=tuple(unbooked),
        unbalanced=tuple(unbalanced_positions(run.account_id, since)),
        differing=dict(run.differing),
        differing_cash=dict(run.memo.get("cash_difference", {})),
        broken_orders=tuple(broken),
        broken_seals=tuple(seals),
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
    for currency, difference in facts.differing_cash.items():
        reason = f"After recovery {run.pk} the cash differs from what is explained by {difference} {currency}."
        told = {**evidence, "difference": difference}
        _freeze(Scope(ScopeKind.ACCOUNT, account), FreezeCause.CASH_MISMATCH, reason, told)
    for symbol in facts.unbalanced:
        reason = f"The position in {symbol} is not the sum of its fills."
        _freeze(Scope(ScopeKind.ACCOUNT, account, symbol), FreezeCause.RECORD_BROKEN, reason, evidence)
    if facts.broken_seals:
        reason = f"{len(facts.broken_seals)} rows of the history are not as they were sealed."
        told = {**evidence, "rows": list(facts.broken_seals[:20])}
        _freeze(Scope(ScopeKind.ACCOUNT, account), FreezeCause.RECORD_BROKEN, reason, told)
    if facts.broken_orders:
        reason = f"{len(facts.broken_orders)} orders are not what their events make them."
        told = {**evidence, "orders": list(facts.broken_orders[:20])}
        _freeze(Scope(ScopeKind.ACCOUNT, account), FreezeCause.RECORD_BROKEN, reason, told)


def _check_records(order_ids: Sequence[UUID]) -> tuple[list[str], list[str]]:
    """Hold orders against their events, and their rows against the seals; returns the orders and rows that fail."""
    broken: list[str] = []
    seals: list[str] = []
    for start in range(0, len(order_ids), _AT_ONCE):
        some = order_ids[start : start + _AT_ONCE]
        broken += [str(difference.order_id) for difference in compare_some_orders(some)]
        seals += [str(finding) for finding in broken_seals(some)]
    return broken, seals


def _judged_up_to(run: RecoveryRun) -> int:
    """Return the event up to which the last clean verdict looked, 0 where there was none."""
    clean = RecoveryRun.objects.filter(account_id=run.account_id, state=RecoveryState.RECOVERED)
    memo = clean.order_by("-generation").values_list("memo", flat=True).first()
    return int((memo or {}).get("judged_event", 0))


def _freeze(scope: Scope, cause: FreezeCause, reason: str, evidence: Mapping[str, object]) -> None:
    freeze_trading(scope, FreezeMode.HALT, cause, reason=reason, evidence=evidence, by=_BY)


def _touched_since(run: RecoveryRun) -> datetime:
    """Return since when rows may be wrong: the start of the last clean run, an hour ago at most."""
    clean = RecoveryRun.objects.filter(account_id=run.account_id, state=RecoveryState.RECOVERED)
    last = clean.order_by("-generation").values_list("started_at", flat=True).first()
    oldest = timezone.now() - _AT_MOST_BACK
    return max(last, oldest) if last else oldest
