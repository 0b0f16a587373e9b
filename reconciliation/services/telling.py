"""Telling people of differences, and freezing what they put in doubt, together with the rows that say so."""

from collections.abc import Sequence

from brokers.core.freezes import FreezeCause, FreezeMode
from brokers.core.halts import Scope, ScopeKind
from brokers.selectors.recorded import account_name
from brokers.services.account_proposals import CASH_KIND, POSITION_KIND
from brokers.services.freezes import freeze_trading
from reconciliation.core.discrepancy import DiscrepancyKind, DiscrepancyState
from reconciliation.core.resolution import Resolution
from reconciliation.models import Discrepancy, ReconciliationRun
from reconciliation.services.findings import PROGRAM
from reliability.core.taxonomy import ErrorSeverity
from reliability.selectors.interventions import list_open_subjects
from reliability.services.alerting import raise_alert, resolve_alert
from reliability.services.interventions import withdraw_interventions

CONDITION = "reconciliation.discrepancy"
_MOST_NAMED = 5
_SUBJECT = "discrepancy:"
_CAUSES = {
    DiscrepancyKind.EXTERNAL: (FreezeCause.EXTERNAL_ACTIVITY, FreezeMode.REDUCE_ONLY),
    DiscrepancyKind.MISSING_HERE: (FreezeCause.RECORD_BROKEN, FreezeMode.HALT),
    DiscrepancyKind.MISSING_THERE: (FreezeCause.UNKNOWN_ORDER, FreezeMode.HALT),
}
_USUAL = (FreezeCause.POSITION_MISMATCH, FreezeMode.HALT)
_MILD = (DiscrepancyKind.CASH, DiscrepancyKind.PRICE)


def freeze_for(row: Discrepancy) -> None:
    """Freeze the symbol of a difference that puts in doubt what is held of it."""
    cause, mode = _CAUSES.get(DiscrepancyKind(row.kind), _USUAL)
    scope = Scope(ScopeKind.ACCOUNT, account_name(row.account_id), row.symbol)
    evidence = {"discrepancy": row.pk, "recorded": row.recorded, "reported": row.reported}
    freeze_trading(
        scope, mode, cause, reason=f"{row.kind.replace('_', ' ')}: {row.reason}", evidence=evidence, by=PROGRAM
    )


def tell_of_account(run: ReconciliationRun) -> None:
    """Raise the alert of an account whose run found something, and end it once nothing is open any more."""
    scope = f"account:{account_name(run.account_id)}"
    withdraw_settled()
    of_run = list(
        Discrepancy.objects.filter(last_run=run).exclude(state=DiscrepancyState.VANISHED).order_by("id")[:100]
    )
    if of_run and run.found:
        raise_alert(
            CONDITION,
            scope,
            message=_message(of_run, run.found),
            severity=_severity(of_run),
            details={"run": run.pk, "discrepancies": [row.pk for row in of_run]},
        )
    if not run.remaining:
        reason = f"Run {run.pk} settled all it found by rule." if run.found else f"Run {run.pk} found both sides agree."
        resolve_alert(CONDITION, scope, reason=reason)


def withdraw_settled() -> None:
    """Take back proposals about differences that are not open any more."""
    for kind in (POSITION_KIND, CASH_KIND):
        subjects = [one for one in list_open_subjects(kind) if one.startswith(_SUBJECT)]
        numbers = {one: int(one.removeprefix(_SUBJECT)) for one in subjects}
        rows = Discrepancy.objects.filter(pk__in=numbers.values(), state=DiscrepancyState.OPEN)
        still_open = set(rows.values_list("pk", flat=True))
        over = [one for one, number in numbers.items() if number not in still_open]
        if over:
            withdraw_interventions(kind, over, reason="the difference is not open any more")


def end_alert_if_settled(account_id: int, *, reason: str) -> None:
    """End the alert of an account of which nothing is open any more."""
    if not Discrepancy.objects.filter(account_id=account_id, state=DiscrepancyState.OPEN).exists():
        resolve_alert(CONDITION, f"account:{account_name(account_id)}", reason=reason)


def _message(rows: Sequence[Discrepancy], count: int) -> str:
    named = "; ".join(f"{row.kind.replace('_', ' ')} of {row.subject_type} {row.subject}" for row in rows[:_MOST_NAMED])
    more = f" and {count - _MOST_NAMED} more" if count > _MOST_NAMED else ""
    return f"Recorded and reported differ: {named}{more}."


def _severity(rows: Sequence[Discrepancy]) -> ErrorSeverity | None:
    """Return how much it matters: as the catalogue says, unless it is settled or touches no position."""
    is_mild = all(
        row.state == DiscrepancyState.RESOLVED or (row.kind in _MILD and row.resolution == Resolution.PERSON)
        for row in rows
    )
    return ErrorSeverity.MEDIUM if is_mild else None
