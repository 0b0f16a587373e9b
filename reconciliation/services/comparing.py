"""The first look: records and reports side by side, and what differs as rows."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.core.capabilities import Capabilities
from brokers.core.history import OrderValues
from brokers.selectors.recorded import (
    ORDERS_TABLE,
    assets_of_crossed_pairs,
    list_recorded_fills,
    list_recorded_orders,
    order_ids_with_fills_after,
    read_cash_entries,
    read_cash_fees,
    read_cash_flow,
)
from brokers.services.history.rebuilding import orders_without_rows
from reconciliation.core.cash import compare_cash
from reconciliation.core.discrepancy import Difference, DiscrepancyKind, SubjectType
from reconciliation.core.matching import amount, compare_fill, compare_order, compare_position, find_recorded
from reconciliation.core.runs import GRACE
from reconciliation.models import ReconciliationMark, ReconciliationRun
from reconciliation.selectors.comparison import (
    differing_fills,
    differing_orders,
    differing_positions,
    patiently,
    uneven_bookings,
)
from reconciliation.services.findings import let_go_of_unseen, record_differences

_FEW_FILLS = 20_000


def compare_all(run: ReconciliationRun, mark: ReconciliationMark, capabilities: Capabilities) -> int:
    """Compare everything the broker reported for a run, in the caller's transaction.

    Holdings and cash were reported a moment after the executions were, so what differs there is
    taken as in flight: what moved them last may not be among the executions.

    Returns:
        How many differences the look saw. Memory stays small whatever the size: differences
        come from the server a chunk at a time and leave as rows.
    """
    assert run.asked_at is not None
    since = run.asked_at - GRACE
    seen = _orders(run, since) + _fills(run, since) + _bookings(run, mark) + _taken_out(run)
    judged = {SubjectType.ORDER}
    if run.reads_all:
        judged |= {SubjectType.FILL, SubjectType.BOOKING}
    if capabilities.positions_follow_fills:
        judged.add(SubjectType.POSITION)
        seen += _positions(run, since)
    if capabilities.cash_follows_fills:
        found = cash_differences(run, mark, run.marks["account"], since)
        seen += record_differences(run, [replace(one, is_in_flight=True) for one in found])
        judged |= {SubjectType.CASH} if "agreed_cash" in run.marks else set()
    let_go_of_unseen(run, judged)
    return seen


def _orders(run: ReconciliationRun, since: datetime) -> int:
    seen = 0
    with patiently():
        for pairs in differing_orders(run.account_id, run.pk):
            client_ids = [report.client_order_id for _, report in pairs if report is not None]
            broker_ids = [report.broker_order_id if report is not None else name or "" for name, report in pairs]
            recorded = list_recorded_orders(run.account_id, client_ids, broker_ids)
            found: list[Difference] = []
            for name, report in pairs:
                if report is None:
                    found += compare_order(recorded.get(name or ""), None, since)
                else:
                    order = find_recorded(recorded, report.broker_order_id, report.client_order_id)
                    found += compare_order(order, report, since)
            seen += record_differences(run, found)
    return seen


def _fills(run: ReconciliationRun, since: datetime) -> int:
    seen = 0
    with patiently(by_hash=run.fills_reported > _FEW_FILLS):
        for pairs in differing_fills(run.account_id, run.pk):
            booked = list_recorded_fills(run.account_id, [name for _, name in pairs if name])
            client_ids = [fill.client_order_id for fill, _ in pairs]
            orders = list_recorded_orders(run.account_id, client_ids, [fill.broker_order_id for fill, _ in pairs])
            found: list[Difference] = []
            for fill, name in pairs:
                is_ours = find_recorded(orders, fill.broker_order_id, fill.client_order_id) is not None
                found += compare_fill(booked.get(name or ""), fill, is_ours, since)
            seen += record_differences(run, found)
    return seen


def _bookings(run: ReconciliationRun, mark: ReconciliationMark) -> int:
    """Find orders that do not add up: all of them where all is read, else those that changed since the mark."""
    with patiently(by_hash=run.reads_all):
        changed = None if run.reads_all else order_ids_with_fills_after(run.account_id, mark.fill_id)
        rows = uneven_bookings(run.account_id, changed)
    return record_differences(run, [booking_difference(*row) for row in rows])


def _taken_out(run: ReconciliationRun) -> int:
    """Find orders whose rows were taken out, where the counts say that some were: their events are still there."""
    if ORDERS_TABLE not in run.hand_changes:
        return 0
    return record_differences(run, [_gone(values) for values in orders_without_rows(run.account_id)])


def _gone(values: OrderValues) -> Difference:
    recorded = {"row": "taken out", "order": str(values.id), "client_order_id": values.client_order_id}
    subject = values.broker_order_id or str(values.id)
    kind = DiscrepancyKind.MISSING_HERE
    return Difference(kind, SubjectType.ORDER, subject, values.symbol, recorded, {}, values.id)


def booking_difference(order_id: Any, name: str, symbol: str, filled: Decimal, booked: Decimal) -> Difference:
    """Return the difference between what an order says was filled and the sum of its fills."""
    sides = {"filled_quantity": amount(filled), "sum_of_fills": amount(booked)}
    return Difference(DiscrepancyKind.QUANTITY, SubjectType.BOOKING, str(order_id), symbol, sides, {}, order_id)


def _positions(run: ReconciliationRun, since: datetime) -> int:
    """Compare what is held, but for assets traded for one another: those are in two positions at once."""
    seen = 0
    crossed = assets_of_crossed_pairs(run.account_id, run.marks["account"]["currency"])
    with patiently():
        for pairs in differing_positions(run.account_id, run.pk):
            found = [one for ours, theirs in pairs for one in compare_position(ours, theirs, since)]
            found = [one for one in found if one.symbol.split("/")[0] not in crossed]
            seen += record_differences(run, [replace(one, is_in_flight=True) for one in found])
    return seen


@dataclass(frozen=True, slots=True)
class CashLook:
    """One comparison of cash: what differs, or what is the next mark; neither where nothing can be said."""

    differences: tuple[Difference, ...] = ()
    agreed: dict[str, Any] | None = None


def cash_differences(
    run: ReconciliationRun, mark: ReconciliationMark, account: dict[str, str], since: datetime
) -> tuple[Difference, ...]:
    """Return the difference between the cash that was reported and what is explained; see ``look_at_cash``.

    Cash that agrees becomes the next mark.
    """
    look = look_at_cash(mark, account["currency"], Decimal(account["cash"]), since)
    if look.agreed is not None:
        run.marks["agreed_cash"] = look.agreed
    return look.differences


def look_at_cash(mark: ReconciliationMark, currency: str, reported: Decimal, since: datetime | None) -> CashLook:
    """Hold the cash that was reported against the mark, and the executions, fees and cash entries behind it.

    Nothing can be said while the account trades (an execution or a fee later than ``since``), or where executions
    were paid for in another currency. Counting begins with whatever is reported, and begins again until a later look
    agrees with it: what was executed a moment before the cash was reported may not have been booked yet.
    """
    flow = read_cash_flow(mark.account_id, currency, mark.cash_fill_id)
    fees = read_cash_fees(mark.account_id, currency, mark.cash_fee_id)
    is_moving = since is not None and any(at is not None and at > since for at in (flow.latest_at, fees.latest_at))
    if flow.has_other_currency or is_moving:
        return CashLook()
    entries, newest_entry = read_cash_entries(mark.account_id, currency, mark.cash_entry_id)
    is_confirmed = False
    if mark.cash is not None:
        expected = mark.cash + flow.amount - fees.amount + entries
        found = compare_cash(expected, reported, currency, flow.executions)
        if found and mark.cash_confirmed:
            return CashLook(found)
        is_confirmed = not found
    newest = {
        "fill_id": max(flow.newest_id, mark.cash_fill_id),
        "entry_id": max(newest_entry, mark.cash_entry_id),
        "fee_id": max(fees.newest_id, mark.cash_fee_id),
    }
    return CashLook((), {"cash": str(reported), "is_confirmed": is_confirmed, **newest})
