"""Recording orders that were placed elsewhere on an account."""

from collections.abc import Sequence

from django.utils import timezone

from brokers.core.evidence import further_status
from brokers.core.reports import OrderReport, ReportedStatus
from brokers.models import Account, ExternalOrder
from brokers.services.odd_fills import freeze_external
from brokers.services.order_alerts import placed_elsewhere
from reliability.services.alerting import raise_alerts


def record_external_orders(account_id: int, reports: Sequence[OrderReport], source: str) -> None:
    """Record these orders, which are known not to be ours, in the caller's transaction.

    Older or repeated reports change nothing, and two writers at once both have their say. A person hears
    of each new one, but not of what an account brought along when it was first looked at.
    """
    latest = {report.broker_order_id: report for report in reports if report.broker_order_id}
    if not latest:
        return
    known = ExternalOrder.objects.filter(account_id=account_id, broker_order_id__in=latest)
    missing = sorted(latest.keys() - set(known.values_list("broker_order_id", flat=True)))
    new = [_new(account_id, latest[key], source) for key in missing]
    ExternalOrder.objects.bulk_create(new, ignore_conflicts=True)
    if new and Account.objects.filter(pk=account_id).exclude(synced_at=None).exists():
        raise_alerts([placed_elsewhere(account_id, latest[key]) for key in missing])
        for report in {latest[key].symbol: latest[key] for key in missing}.values():
            freeze_external(account_id, report)
    rows = {row.broker_order_id: row for row in known.select_for_update().order_by("broker_order_id")}
    changed = {row.pk: row for report in reports if (row := rows.get(report.broker_order_id)) and _merge(row, report)}
    for row in changed.values():
        row.changed_at = timezone.now()
    ExternalOrder.objects.bulk_update(changed.values(), ["status", "filled_quantity", "changed_at"])


def _new(account_id: int, report: OrderReport, source: str) -> ExternalOrder:
    return ExternalOrder(
        account_id=account_id,
        broker_order_id=report.broker_order_id,
        client_order_id=report.client_order_id[:128],
        symbol=report.symbol,
        side=report.side.value,
        quantity=report.quantity,
        notional=report.notional,
        limit_price=report.limit_price,
        status=report.status.value,
        filled_quantity=report.filled_quantity,
        source=source,
    )


def _merge(row: ExternalOrder, report: OrderReport) -> bool:
    status = further_status(ReportedStatus(row.status), report.status)
    filled = max(row.filled_quantity, report.filled_quantity)
    is_new = (status.value, filled) != (row.status, row.filled_quantity)
    row.status, row.filled_quantity = status.value, filled
    return is_new
