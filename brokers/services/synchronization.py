"""Asking a broker for everything that may have been missed: the backstop of the streams."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar

from django.db.models import F
from django.utils import timezone

from brokers.adapters.errors import BrokerCallError
from brokers.core.cursors import lagging_cursor
from brokers.core.orders import OrderState
from brokers.core.reports import FillPage, FillReport, OrderReport
from brokers.models import Account, Order
from brokers.services.account_signs import note_login_refused
from brokers.services.accounts import AccountProfile, get_profile, list_profiles
from brokers.services.external_orders import record_external_orders
from brokers.services.fills import lock_external_fills
from brokers.services.guards import CallClass, refused_here, waiting
from brokers.services.order_batch import OrderBatch
from brokers.services.order_legs import entries_without_legs, waits_for_legs
from brokers.services.reachability import release_if_seen
from brokers.services.sessions import get_session
from brokers.services.streams.generations import catch_up, current_generation
from reliability.core.jobs import ClaimedJob, Disposition, Done, JobError, Performed, Snooze
from reliability.core.taxonomy import FailureKind
from reliability.services.jobs.enqueue import NewJob, enqueue_job, enqueue_jobs
from reliability.services.jobs.execution import failure_disposition
from reliability.services.jobs.kinds import JobKind, Prepared

SYNC_KIND = "orders.sync"
SYNC_ALL_KIND = "orders.sync_all"
_MOST_COMPARED = 10_000
_MOST_LOOKED_UP = 100
_QUIET_AFTER = timedelta(seconds=3)
_OVERTAKEN = JobError("NETWORK_STREAM_CLOSED", "The stream was taken up again meanwhile: this snapshot is too old.")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """``quiet`` are orders of ours that should be open, ``asked`` are ids that fills named and nobody here knows.

    ``generation`` is that of the order stream as the broker was asked. ``entries`` are orders of ours
    whose exits the broker has not named yet.
    """

    profile: AccountProfile
    cursor: str
    quiet: frozenset[str]
    asked: frozenset[str]
    generation: int = 0
    entries: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SyncResult:
    page: FillPage
    reports: tuple[OrderReport, ...]
    asked: frozenset[str]


def want_sync(account_ids: Iterable[int], *, delay: timedelta = timedelta(0)) -> None:
    """Ask for these accounts to be synchronized, unless that is waiting already."""
    jobs = [NewJob(payload={"account": account}, unique_key=f"sync:{account}") for account in sorted(account_ids)]
    enqueue_jobs(SYNC_KIND, jobs, delay=delay)


class SyncAccountJob(JobKind):
    """Fills after the cursor, open orders, and those of ours that the broker no longer lists as open.

    A fill names its order by the broker's id. Where no order of ours has that id yet (its
    acknowledgement was lost), nothing is booked and the cursor stays: a second job asks the
    broker for those orders, and only what is not ours by then is booked as external.

    What was asked in an older generation of the order stream is still true and is merged, but it
    does not count as caught up: the broker is asked again.
    """

    name: ClassVar[str] = SYNC_KIND
    lane: ClassVar[str] = "recovery"
    timeout: ClassVar[timedelta] = timedelta(seconds=30)
    lease: ClassVar[timedelta | None] = timedelta(seconds=40)
    applied_together: ClassVar[bool] = False

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        return {job.id: self._request(job) for job in jobs}

    async def perform(self, request: SyncRequest) -> SyncResult:
        return await take_snapshot(request)

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        return {outcome.job.id: self._apply_one(outcome) for outcome in outcomes}

    def apply_late(self, outcomes: Sequence[Performed]) -> None:
        for outcome in outcomes:
            if isinstance(outcome.result, SyncResult):
                self._apply_one(outcome)

    def _request(self, job: ClaimedJob) -> Prepared:
        profile = get_profile(job.payload["account"])
        held = waiting(profile, CallClass.READS)
        if held is not None:
            return held
        return snapshot_request(profile, frozenset(job.payload.get("asked", ())))

    def _apply_one(self, outcome: Performed) -> Disposition:
        if isinstance(outcome.error, BrokerCallError):
            error = outcome.error
            held = refused_here(error)
            if held is not None:
                return held
            note_login_refused(outcome.job.payload["account"], error)
            wait = timedelta(seconds=max(1.0, error.retry_after_seconds or 0.0))
            return Snooze(wait, JobError(error.code, error.message))
        if not isinstance(outcome.result, SyncResult):
            return failure_disposition(outcome)
        assert isinstance(outcome.request, SyncRequest)
        if not record_snapshot(outcome.request, outcome.result):
            return Snooze(timedelta(0), _OVERTAKEN)
        release_if_seen(outcome.request.profile.id)
        return Done()


def snapshot_request(profile: AccountProfile, asked: frozenset[str] = frozenset()) -> SyncRequest:
    """Return what to ask a broker to know all that may have been missed on an account."""
    account = Account.objects.get(pk=profile.id)
    known = Order.objects.filter(account_id=account.pk, finished_at=None).exclude(broker_order_id="")
    quiet = known.filter(acknowledged_at__lt=timezone.now() - _QUIET_AFTER)
    ids = quiet.order_by("id").values_list("broker_order_id", flat=True)[:_MOST_COMPARED]
    entries = entries_without_legs(account.pk)
    return SyncRequest(profile, account.fill_cursor, frozenset(ids), asked, current_generation(account.pk), entries)


async def take_snapshot(request: SyncRequest) -> SyncResult:
    """Ask the broker, the fills first: what fills meanwhile is asked for the next time. Raises ``BrokerCallError``."""
    session = get_session(request.profile)
    page = await session.list_fills(request.cursor)
    reports = {report.broker_order_id: report for report in await session.list_open_orders()}
    filled = {fill.broker_order_id for fill in page.fills}
    unlisted = sorted(request.quiet - reports.keys(), key=lambda order_id: order_id in filled)
    wanted = [*sorted(request.entries), *sorted(request.asked - reports.keys()), *unlisted]
    for broker_order_id in list(dict.fromkeys(wanted))[:_MOST_LOOKED_UP]:
        try:
            reports[broker_order_id] = await session.get_order(broker_order_id)
        except BrokerCallError as error:
            if error.kind is not FailureKind.REJECTED:
                raise
            logger.warning("the broker refuses to show an order", extra={"broker_order_id": broker_order_id})
    fills = tuple(_with_client_id(fill, reports) for fill in page.fills)
    answered = request.asked & reports.keys()
    return SyncResult(FillPage(fills, page.cursor), tuple(reports.values()), answered)


def record_snapshot(request: SyncRequest, result: SyncResult) -> bool:
    """Write what the broker said, in the caller's transaction; the cursor stays while a fill's order is not known.

    Returns whether the order stream is still the one that was there when the question was asked.
    """
    account_id = request.profile.id
    unknown = record_evidence(account_id, result.reports, result.page.fills, "poll", external=result.asked)
    account = Account.objects.select_for_update(no_key=True).get(pk=account_id)
    account.synced_at = timezone.now()
    if unknown:
        key = f"sync-ask:{account_id}"
        payload = {"account": account_id, "asked": sorted(unknown)[:_MOST_LOOKED_UP]}
        enqueue_job(SYNC_KIND, NewJob(payload=payload, unique_key=key))
    else:
        account.fill_cursor = lagging_cursor(result.page.fills, account.fill_cursor)
    account.save(update_fields=["fill_cursor", "synced_at"])
    return catch_up(account_id, request.generation)


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
    stale = timezone.now() - timedelta(minutes=1)
    in_hand = Order.objects.filter(finished_at=None).exclude(state=OrderState.ACCEPTED)
    due = set(in_hand.values_list("account_id", flat=True).distinct())
    missing = Order.objects.filter(reported_filled_quantity__gt=F("filled_quantity"))
    due |= set(missing.values_list("account_id", flat=True).distinct())
    due |= set(Account.objects.exclude(synced_at__gt=stale).values_list("pk", flat=True))
    return due & {profile.id for profile in list_profiles()}


def record_evidence(
    account_id: int,
    reports: Sequence[OrderReport],
    fills: Sequence[FillReport],
    source: str,
    *,
    external: Collection[str] = (),
) -> set[str]:
    """Merge reports and fills into our orders, in the caller's transaction; repeated evidence changes nothing.

    An order is committed before it is sent, so a report that no order of ours fits is of one
    that was placed elsewhere: it is recorded as such.

    Args:
        account_id: The account that all of it is about.
        reports: Orders as the broker reported them.
        fills: Executions, each naming its order by the client's or the broker's id.
        source: ``stream`` or ``poll``.
        external: Broker order ids that are known not to be ours; their fills are booked
            without an order, because the position is the account's.

    Returns:
        Broker order ids of the fills that were not booked: no order of ours has them, and
        nobody said yet that they are external.
    """
    reports = [one for report in reports for one in (report, *(report.legs or ()))]
    client_ids = {report.client_order_id for report in reports} | {fill.client_order_id for fill in fills}
    broker_ids = {report.broker_order_id for report in reports} | {fill.broker_order_id for fill in fills}
    batch = OrderBatch.lock_reported(account_id, sorted(client_ids - {""}), sorted(broker_ids - {""}))
    if any(fill.broker_order_id in external for fill in fills):
        lock_external_fills(account_id)
        external = () if waits_for_legs(account_id) else external  # a strange order may be an exit of ours
    batch.prefetch_fills(account_id, fills)
    unknown: set[str] = set()
    elsewhere: list[OrderReport] = []
    for fill in fills:
        row = batch.find(account_id, fill.client_order_id, fill.broker_order_id)
        if row is not None:
            batch.fill(row, fill, source)
        elif fill.broker_order_id in external:
            batch.external_fill(account_id, fill, source)
        elif batch.is_unbooked(account_id, fill):
            unknown.add(fill.broker_order_id)
        else:
            batch.told_fees(account_id, fill)
    for report in reports:
        row = batch.find(account_id, report.client_order_id, report.broker_order_id)
        if row is not None:
            batch.report(row, report, source)
        else:
            elsewhere.append(report)
    batch.save()
    if elsewhere:
        record_external_orders(account_id, _strange(account_id, elsewhere), source)
    if source != "poll":
        missing = batch.accounts_missing_fills() | ({account_id} if unknown else set())
        want_sync(missing, delay=timedelta(seconds=1))
    return unknown


def _strange(account_id: int, reports: Sequence[OrderReport]) -> list[OrderReport]:
    """Return the reports that are of no order of ours: neither of an exit just taken up, nor of one not yet named."""
    ids = [report.broker_order_id for report in reports]
    taken_up = Order.objects.filter(account_id=account_id, broker_order_id__in=ids).exclude(broker_order_id="")
    known = set(taken_up.values_list("broker_order_id", flat=True))
    return [] if waits_for_legs(account_id) else [one for one in reports if one.broker_order_id not in known]


def _with_client_id(fill: FillReport, reports: Mapping[str, OrderReport]) -> FillReport:
    report = reports.get(fill.broker_order_id)
    if fill.client_order_id or report is None:
        return fill
    return replace(fill, client_order_id=report.client_order_id)
