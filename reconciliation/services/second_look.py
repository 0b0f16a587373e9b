"""The second look: what a first look saw is asked for again, one by one, before there is a verdict."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial

from django.utils import timezone

from brokers.adapters.errors import BrokerCallError
from brokers.core.reports import CashReport, FillReport, OrderReport, PositionReport
from brokers.selectors.recorded import list_recorded_fills, list_recorded_orders, list_recorded_positions
from brokers.services.accounts import get_profile
from brokers.services.guarded_session import GuardedSession
from brokers.services.order_legs import waits_for_legs
from reconciliation.core.discrepancy import UNSETTLED, Difference, DiscrepancyKind, DiscrepancyState, SubjectType
from reconciliation.core.matching import compare_fill, compare_order, compare_position, find_recorded
from reconciliation.core.runs import GRACE, MOST_LOOKS
from reconciliation.models import Discrepancy, ReconciliationRun
from reconciliation.selectors.comparison import differing_fills, list_reported_fills, uneven_bookings
from reconciliation.services.cash_movements import book_movements, movements_wanted_since
from reconciliation.services.comparing import booking_difference, cash_differences
from reconciliation.services.findings import record_differences
from reconciliation.services.rules import Evidence, book_known, decide
from reconciliation.services.runs import get_mark
from reliability.core.taxonomy import FailureKind

BATCH = 100
_ORDER_GONE = "BROKER_ORDER_NOT_FOUND"
_PRELIMINARY = (DiscrepancyKind.EXTERNAL, DiscrepancyKind.MISSING_THERE)  # until the order itself is asked for
# Executions first: they move orders and positions, which are judged after them.
_ORDER = [SubjectType.FILL, SubjectType.ORDER, SubjectType.BOOKING, SubjectType.POSITION, SubjectType.CASH]


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked again: the rows it is about, and for which of them the broker is asked."""

    subjects: tuple[int, ...] = ()
    orders: tuple[str, ...] = ()
    with_positions: bool = False
    with_account: bool = False
    fill_cursor: str = ""
    cash_since: date | None = None
    wait: timedelta = timedelta(0)


@dataclass(slots=True)
class SecondLook:
    """The answers. An order that is asked for and not in ``reports`` is none that the broker has."""

    questions: Questions
    asked_at: datetime
    reports: dict[str, OrderReport] = field(default_factory=dict)
    positions: dict[str, PositionReport] = field(default_factory=dict)
    account: dict[str, str] = field(default_factory=dict)
    fills: list[FillReport] = field(default_factory=list)
    movements: list[CashReport] | None = None
    calls: int = 0


def next_questions(run: ReconciliationRun) -> Questions:
    """Return what a run looks at next: the suspects of this round behind its token, none when it is over."""
    rows = Discrepancy.objects.filter(last_run=run, state=DiscrepancyState.SUSPECTED)
    chosen = list(rows.filter(pk__gt=int(run.token or 0)).order_by("pk")[:BATCH])
    types = {row.subject_type for row in chosen}
    wait = timedelta(0)
    if not run.token and run.asked_at is not None and rows.filter(is_in_flight=True).exists():
        wait = max(wait, run.asked_at + run.looks * GRACE - timezone.now())
    return Questions(
        subjects=tuple(row.pk for row in chosen),
        orders=tuple(row.subject for row in chosen if row.subject_type == SubjectType.ORDER),
        with_positions=SubjectType.POSITION in types,
        with_account=SubjectType.CASH in types,
        cash_since=movements_wanted_since(get_profile(run.account_id)) if SubjectType.CASH in types else None,
        fill_cursor=run.marks.get("fill_cursor", get_mark(run.account_id).fill_cursor),
        wait=wait,
    )


async def ask_again(session: GuardedSession, questions: Questions) -> SecondLook:
    """Ask for each; raises ``BrokerCallError`` as soon as one answer is missing, for then nothing is known."""
    look = SecondLook(questions, timezone.now())
    for broker_order_id in dict.fromkeys(questions.orders):
        look.calls += 1
        try:
            look.reports[broker_order_id] = await session.get_order(broker_order_id)
        except BrokerCallError as error:
            if error.kind is not FailureKind.REJECTED or error.code != _ORDER_GONE:
                raise
    if questions.with_positions:
        look.positions = {one.symbol: one for one in await session.list_positions()}
        look.calls += 1
    if questions.with_account:
        account = await session.get_account()
        look.account = {"currency": account.currency, "cash": str(account.cash)}
        look.calls += 1
        if questions.cash_since is not None:
            look.movements = await session.list_cash_movements(questions.cash_since)
            look.calls += 1
    if questions.with_positions or questions.with_account:  # after them, so that what moved them is among the fills
        page = await session.list_fills(questions.fill_cursor)
        look.fills = list(page.fills)
        look.calls += 1
    return look


def judge(run: ReconciliationRun, look: SecondLook) -> Questions:
    """Come to a verdict on each row that was asked for, and return what is to be looked at next.

    There is none on a holding or an order of ours that keeps moving, for one side is always older than the other;
    nor on an order that may be an exit which its broker has not named yet.
    """
    rows = Discrepancy.objects.select_for_update().filter(
        pk__in=look.questions.subjects, state=DiscrepancyState.SUSPECTED
    )
    book_known(run.account_id, look.fills)
    book_movements(run.account_id, look.movements)
    for row in sorted(rows.order_by("pk"), key=lambda row: _ORDER.index(SubjectType(row.subject_type))):
        evidence = _evidence(run, row, look)
        difference = _difference(run, row, evidence, look)
        if difference is None:
            row.delete()
            continue
        _keep(row, difference)
        may_be_ours = difference.kind is DiscrepancyKind.EXTERNAL and waits_for_legs(run.account_id)
        is_moving = difference.is_in_flight and (row.subject_type == SubjectType.POSITION or row.order_id is not None)
        is_last_look = run.looks >= MOST_LOOKS and not is_moving
        if not may_be_ours and (is_last_look or not difference.is_in_flight):
            decide(run, row, difference, evidence, partial(_difference, run, row, evidence, look))
    run.token = str(max(look.questions.subjects, default=0))
    questions = next_questions(run)
    if questions.subjects or run.looks >= MOST_LOOKS:
        return questions
    run.looks, run.token = run.looks + 1, ""
    return next_questions(run)


def _keep(row: Discrepancy, difference: Difference) -> None:
    row.looks += 1
    row.seen_at = timezone.now()
    row.recorded, row.reported = difference.recorded, difference.reported
    row.is_in_flight = difference.is_in_flight
    row.save(update_fields=["looks", "seen_at", "recorded", "reported", "is_in_flight"])


def _evidence(run: ReconciliationRun, row: Discrepancy, look: SecondLook) -> Evidence:
    """Return what the broker said about the subject of a row: a report, and executions of this run."""
    if row.subject_type == SubjectType.ORDER:
        return Evidence(look.reports.get(row.subject), list_reported_fills(run.pk, broker_order_id=row.subject))
    if row.subject_type == SubjectType.FILL:
        return Evidence(None, list_reported_fills(run.pk, execution_id=row.subject))
    return Evidence(None, [])


def _difference(run: ReconciliationRun, row: Discrepancy, evidence: Evidence, look: SecondLook) -> Difference | None:
    """Return the difference of a row as it is now, None when there is none any more."""
    since = look.asked_at - GRACE
    kind = SubjectType(row.subject_type)
    if kind is SubjectType.ORDER:
        return _order_difference(run, row, evidence.report, since)
    found: Iterable[Difference] = ()
    if kind is SubjectType.FILL:
        found = _fill_differences(run, row, since)
    elif kind is SubjectType.BOOKING and row.order_id is not None:
        uneven = uneven_bookings(run.account_id, [row.order_id])
        found = [booking_difference(*one) for one in uneven if one[0] == row.order_id]
    elif kind is SubjectType.POSITION:
        recorded = list_recorded_positions(run.account_id, [row.symbol]).get(row.symbol)
        found = compare_position(recorded, look.positions.get(row.symbol), since)
    elif kind is SubjectType.CASH:
        found = cash_differences(run, get_mark(run.account_id), look.account, since)
    return next((one for one in found if one.kind == row.kind), None)


def _order_difference(
    run: ReconciliationRun, row: Discrepancy, report: OrderReport | None, since: datetime
) -> Difference | None:
    """Return what differs about an order, under the kind of the row or the one that the answer shows it to be.

    An order that was missing in a list may have ended, and an execution does not tell whose order it was.
    """
    client_id = report.client_order_id if report is not None else ""
    orders = list_recorded_orders(run.account_id, [client_id], [row.subject])
    recorded = find_recorded(orders, row.subject, client_id)
    if recorded is None and report is None:  # the broker shows it no more, and nobody here knows it better
        kind, sides = DiscrepancyKind(row.kind), (row.recorded, row.reported)
        return Difference(kind, SubjectType.ORDER, row.subject, row.symbol, *sides, row.order_id)
    found = compare_order(recorded, report, since)
    same = next((one for one in found if one.kind == row.kind), None)
    if same is not None or not found or row.kind not in _PRELIMINARY:
        return same
    fresh = [one for one in found if not _is_recorded(run, one)]
    if not fresh:
        return None
    record_differences(run, fresh[1:])
    row.kind = fresh[0].kind
    row.save(update_fields=["kind"])
    return fresh[0]


def _is_recorded(run: ReconciliationRun, difference: Difference) -> bool:
    kind, subject_type, subject = difference.key
    rows = Discrepancy.objects.filter(account_id=run.account_id, kind=kind, subject_type=subject_type, subject=subject)
    return rows.filter(state__in=UNSETTLED).exists()


def _fill_differences(run: ReconciliationRun, row: Discrepancy, since: datetime) -> Iterable[Difference]:
    for pairs in differing_fills(run.account_id, run.pk, [row.subject]):
        for fill, name in pairs:
            booked = list_recorded_fills(run.account_id, [name] if name else [])
            orders = list_recorded_orders(run.account_id, [fill.client_order_id], [fill.broker_order_id])
            is_ours = find_recorded(orders, fill.broker_order_id, fill.client_order_id) is not None
            yield from compare_fill(booked.get(name or ""), fill, is_ours, since)
