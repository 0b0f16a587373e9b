"""Asking a broker for everything that may have been missed: the backstop of the streams."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar

from django.db import connection
from django.utils import timezone

from brokers.adapters.errors import BrokerCallError
from brokers.core.cursors import lagging_cursor
from brokers.core.orders import AT_BROKER_STATES, FINAL_STATES, OrderState
from brokers.core.reports import FillPage, FillReport, OrderReport
from brokers.models import Account, Order
from brokers.services.accounts import AccountProfile, get_profile, list_profiles
from brokers.services.order_batch import OrderBatch
from brokers.services.sessions import get_session
from reliability.core.jobs import ClaimedJob, Disposition, Done, JobError, Performed, Snooze
from reliability.services.jobs.enqueue import NewJob, enqueue_jobs
from reliability.services.jobs.execution import failure_disposition
from reliability.services.jobs.kinds import JobKind, Prepared

SYNC_KIND = "orders.sync"
SYNC_ALL_KIND = "orders.sync_all"
_MOST_LOOKED_UP = 100
_QUIET_AFTER = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """``known`` are our orders that should be open, by broker order id; ``quiet`` of them are asked for one by one."""

    profile: AccountProfile
    cursor: str
    known: frozenset[str]


@dataclass(frozen=True, slots=True)
class SyncResult:
    page: FillPage
    reports: tuple[OrderReport, ...]


def want_sync(account_ids: Iterable[int], *, delay: timedelta = timedelta(0)) -> None:
    """Ask for these accounts to be synchronized, unless that is waiting already."""
    jobs = [NewJob(payload={"account": account}, unique_key=f"sync:{account}") for account in sorted(account_ids)]
    enqueue_jobs(SYNC_KIND, jobs, delay=delay)


class SyncAccountJob(JobKind):
    """Fills after the cursor, open orders, and those of ours that the broker no longer lists as open."""

    name: ClassVar[str] = SYNC_KIND
    lane: ClassVar[str] = "recovery"
    timeout: ClassVar[timedelta] = timedelta(seconds=30)
    lease: ClassVar[timedelta | None] = timedelta(seconds=40)

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        return {job.id: self._request(job.payload["account"]) for job in jobs}

    async def perform(self, request: SyncRequest) -> SyncResult:
        session = get_session(request.profile)
        page = await session.list_fills(request.cursor)
        reports = {report.broker_order_id: report for report in await session.list_open_orders()}
        unlisted = ({fill.broker_order_id for fill in page.fills} | request.known) - reports.keys()
        complete = True
        for index, broker_order_id in enumerate(sorted(unlisted)):
            if index >= _MOST_LOOKED_UP:
                complete = False
                break
            reports[broker_order_id] = await session.get_order(broker_order_id)
        fills = tuple(_with_client_id(fill, reports) for fill in page.fills)
        cursor = lagging_cursor(page.fills, request.cursor) if complete else request.cursor
        return SyncResult(FillPage(fills, cursor), tuple(reports.values()))

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        return {outcome.job.id: self._apply_one(outcome) for outcome in outcomes}

    def apply_late(self, outcomes: Sequence[Performed]) -> None:
        for outcome in outcomes:
            if isinstance(outcome.result, SyncResult):
                self._apply_one(outcome)

    def _request(self, account_id: int) -> SyncRequest:
        account = Account.objects.get(pk=account_id)
        known = Order.objects.filter(account_id=account_id, state__in=[state.value for state in AT_BROKER_STATES])
        quiet = known.filter(acknowledged_at__lt=timezone.now() - _QUIET_AFTER)
        ids = quiet.order_by("id").values_list("broker_order_id", flat=True)[: _MOST_LOOKED_UP * 5]
        return SyncRequest(get_profile(account_id), account.fill_cursor, frozenset(ids))

    def _apply_one(self, outcome: Performed) -> Disposition:
        account_id = outcome.job.payload["account"]
        if isinstance(outcome.error, BrokerCallError):
            error = outcome.error
            wait = timedelta(seconds=max(1.0, error.retry_after_seconds or 0.0))
            return Snooze(wait, JobError(error.code, error.message))
        if not isinstance(outcome.result, SyncResult):
            return failure_disposition(outcome)
        record_evidence(account_id, outcome.result.reports, outcome.result.page.fills, "poll")
        Account.objects.filter(pk=account_id).update(fill_cursor=outcome.result.page.cursor, synced_at=timezone.now())
        return Done()


class SyncAllJob(JobKind):
    """On schedule: synchronize each account that has open orders or was not looked at for a minute."""

    name: ClassVar[str] = SYNC_ALL_KIND
    lane: ClassVar[str] = "recovery"

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        want_sync(accounts_to_sync())
        return {job.id: Done() for job in jobs}

    async def perform(self, request: object) -> None:
        raise AssertionError("there is no call: prepare does it all")

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        raise AssertionError("there is no call: prepare does it all")


def accounts_to_sync() -> set[int]:
    """Return the accounts whose state at the broker may differ from what is recorded."""
    final = [state.value for state in FINAL_STATES]
    stale = timezone.now() - timedelta(minutes=1)
    in_hand = Order.objects.exclude(state__in=[*final, OrderState.ACCEPTED])
    due = set(in_hand.values_list("account_id", flat=True).distinct())
    due |= set(_accounts_missing_fills())
    due |= set(Account.objects.exclude(synced_at__gt=stale).values_list("pk", flat=True))
    return due & {profile.id for profile in list_profiles()}


def _accounts_missing_fills() -> list[int]:
    """Return the accounts with a recently finished order of which fills are not booked yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT account_id FROM brokers_order"
            " WHERE finished_at > clock_timestamp() - interval '1 hour' AND reported_filled_quantity > filled_quantity"
        )
        return [row[0] for row in cursor.fetchall()]


def record_evidence(account_id: int, reports: Sequence[OrderReport], fills: Sequence[FillReport], source: str) -> None:
    """Merge reports and fills into our orders, in the caller's transaction; repeated evidence changes nothing.

    Fills of orders that are not ours are booked as external: the position is the account's.
    """
    client_ids = {report.client_order_id for report in reports} | {fill.client_order_id for fill in fills}
    broker_ids = {report.broker_order_id for report in reports} | {fill.broker_order_id for fill in fills}
    batch = OrderBatch.lock_reported(account_id, sorted(client_ids - {""}), sorted(broker_ids - {""}))
    batch.prefetch_fills(account_id, fills)
    for fill in fills:
        row = batch.find(account_id, fill.client_order_id, fill.broker_order_id)
        if row is None:
            batch.external_fill(account_id, fill, source)
        else:
            batch.fill(row, fill, source)
    for report in reports:
        row = batch.find(account_id, report.client_order_id, report.broker_order_id)
        if row is not None:
            batch.report(row, report, source)
    batch.save()
    if source != "poll":
        want_sync(batch.accounts_missing_fills(), delay=timedelta(seconds=1))


def _with_client_id(fill: FillReport, reports: Mapping[str, OrderReport]) -> FillReport:
    report = reports.get(fill.broker_order_id)
    if fill.client_order_id or report is None:
        return fill
    return replace(fill, client_order_id=report.client_order_id)
