"""Acting on a verdict: what the table of resolutions says is done, and kept beside the difference."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from django.utils import timezone

from brokers.core.reports import FillReport, OrderReport
from brokers.selectors.recorded import list_recorded_orders
from brokers.services.holdings import put_in_order
from brokers.services.synchronization import record_evidence
from reconciliation.core.discrepancy import Difference, DiscrepancyKind, DiscrepancyState, SubjectType
from reconciliation.core.matching import find_recorded, order_facts
from reconciliation.core.resolution import Resolution, rule_for
from reconciliation.models import Discrepancy, ReconciliationRun
from reconciliation.services.findings import PROGRAM
from reconciliation.services.telling import freeze_for

SOURCE = "reconciliation"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the broker said about one subject; a report that is None says that it does not have the order."""

    report: OrderReport | None
    fills: Sequence[FillReport]


def decide(
    run: ReconciliationRun,
    row: Discrepancy,
    difference: Difference,
    evidence: Evidence,
    look: Callable[[], Difference | None],
) -> None:
    """Carry out what the table says about a difference, in the caller's transaction.

    Evidence is merged by the same rules as everywhere, so it only moves forward. Where a difference is
    still there afterwards, what was taken over did not explain it, and it is handed to a person.

    Args:
        look: Returns the difference as it is after that.
    """
    run.found += 1
    rule = rule_for(difference.kind, difference.standing)
    if rule.resolution in (Resolution.ADOPT, Resolution.BOOK, Resolution.REORDER):
        if rule.resolution is Resolution.REORDER:
            put_in_order(run.account_id, row.symbol, by=PROGRAM)
        else:
            take_over(run.account_id, evidence)
        if look() is None:
            run.resolved += 1
            row.state, row.resolution, row.reason = DiscrepancyState.RESOLVED, rule.resolution, rule.why
            row.after = _after(run.account_id, row)
            row.resolved_at, row.resolved_by = timezone.now(), PROGRAM
            row.save()
            return
        rule = rule_for(difference.kind)
    elif difference.kind in (DiscrepancyKind.EXTERNAL, DiscrepancyKind.MISSING_HERE):
        take_over(run.account_id, evidence)  # the position is the account's, whoever placed the order
    row.state, row.resolution, row.reason = DiscrepancyState.OPEN, rule.resolution, rule.why
    row.save()
    if rule.resolution is Resolution.FREEZE and row.symbol:
        freeze_for(row)


def take_over(account_id: int, evidence: Evidence) -> None:
    """Merge what the broker said into the records; fills of orders that are not ours are booked as external."""
    report = evidence.report
    reports = [report] if report is not None else []
    fills = [
        replace(fill, client_order_id=report.client_order_id)
        if report is not None and fill.broker_order_id == report.broker_order_id
        else fill
        for fill in evidence.fills
    ]
    client_ids = [one.client_order_id for one in reports] + [fill.client_order_id for fill in fills]
    orders = list_recorded_orders(account_id, client_ids, [fill.broker_order_id for fill in fills])
    unknown = {
        fill.broker_order_id
        for fill in fills
        if find_recorded(orders, fill.broker_order_id, fill.client_order_id) is None
    }
    record_evidence(account_id, reports, fills, SOURCE, external=unknown)


def book_known(account_id: int, fills: Sequence[FillReport]) -> None:
    """Book those of the executions whose orders are known to be ours; the others are left to who asks for them."""
    if fills:
        record_evidence(account_id, [], fills, SOURCE)


def _after(account_id: int, row: Discrepancy) -> dict[str, object]:
    """Return the recorded side once it was mended."""
    if row.subject_type != SubjectType.ORDER:
        return dict(row.reported)
    order = list_recorded_orders(account_id, [], [row.subject]).get(row.subject)
    return order_facts(order) if order is not None else {}
