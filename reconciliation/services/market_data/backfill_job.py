"""Fill gaps: ask the sources of a series in turn for the bars of one gap, a page at a time.

One gap is one job. Gaps of a series are filled in the order of time, because consumers wait in that order. A source
that answers and lacks bars is noted in the gap; when all did, the gap is unfillable, or accepted where a missing bar
means that nothing was traded. A source that does not answer is asked again later, and the next one meanwhile.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from django.utils import timezone

from brokers.adapters.errors import BrokerCallError
from brokers.core.reports import BarPage
from brokers.services.accounts import AccountProfile
from brokers.services.market_data import find_account, get_source
from reconciliation.core.deliveries import Delivery
from reconciliation.core.gaps import GapPolicy, GapState
from reconciliation.models import BackfillAttempt, Gap
from reconciliation.services.market_data.calendars import prepare_calendar
from reconciliation.services.market_data.feeds import FeedProfile, feeds_of
from reconciliation.services.market_data.intake import Intake, Origin, Source, take_for_series
from reconciliation.services.market_data.repairs import gap_event
from reliability.core.errors import ReliabilityError
from reliability.core.jobs import ClaimedJob, Disposition, Done, JobError, Performed, Snooze
from reliability.core.retry import RetryPolicy
from reliability.selectors.jobs import held_keys
from reliability.services.jobs.enqueue import NewJob, enqueue_jobs
from reliability.services.jobs.execution import failure_disposition
from reliability.services.jobs.kinds import JobKind, Prepared

BACKFILL_KIND = "market_data.backfill"
_LATER = timedelta(seconds=5)
_LONGEST = timedelta(minutes=10)  # consumers wait no longer for sources that do not answer
_LONELY = timedelta(minutes=1)  # a gap that is being filled for this long has a job, or is asked for again
_AT_ONCE = 500
_KEY = "backfill:"
_WORTH_FILLING = (GapState.FOUND.value, GapState.FILLING.value)


@dataclass(frozen=True, slots=True)
class BackfillRequest:
    """One page to fetch: for which gap, from whom, and what."""

    gap_id: int
    series_id: int
    feed: FeedProfile
    account: AccountProfile
    symbol: str
    timeframe: str
    calendar: str
    start: datetime
    end: datetime
    token: str


class BackfillJob(JobKind):
    name: ClassVar[str] = BACKFILL_KIND
    lane: ClassVar[str] = "market_data"
    retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=20)
    timeout: ClassVar[timedelta] = timedelta(seconds=30)
    lease: ClassVar[timedelta | None] = timedelta(seconds=40)
    applied_together: ClassVar[bool] = False

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        return {job.id: _prepare(job) for job in jobs}

    async def perform(self, request: BackfillRequest) -> BarPage:
        # What is needed after the call takes a second the first time: not in the transaction that follows.
        await asyncio.to_thread(prepare_calendar, request.calendar, request.timeframe, request.start)
        source = get_source(request.feed.address, request.account)
        return await source.fetch_bars(request.symbol, request.timeframe, request.start, request.end, request.token)

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        return {outcome.job.id: _apply(outcome) for outcome in outcomes}

    def discard(self, job: ClaimedJob, actor: str, reason: str) -> None:
        gap = Gap.objects.select_for_update().filter(pk=job.payload["gap"], state__in=_WORTH_FILLING).first()
        if gap is not None:
            _end(gap, GapState.UNFILLABLE, reason, actor=actor)


def enqueue_backfills(gap_ids: Sequence[int]) -> int:
    """Have gaps filled, in the order given; one that is being filled already is not asked for twice."""
    jobs = [NewJob(payload={"gap": gap_id}, unique_key=f"{_KEY}{gap_id}") for gap_id in gap_ids]
    return enqueue_jobs(BACKFILL_KIND, jobs)


def enqueue_unfilled(series_ids: Sequence[int], now: datetime) -> int:
    """Have every gap filled that nobody fills: those just found, and those whose job is gone."""
    gaps = Gap.objects.filter(series_id__in=series_ids).order_by("started_at", "id")
    found = gaps.filter(state=GapState.FOUND.value).values_list("id", flat=True)[:_AT_ONCE]
    old = gaps.filter(state=GapState.FILLING.value, found_at__lte=now - _LONELY).values_list("id", flat=True)
    return enqueue_backfills([*found, *_without_job(old[:_AT_ONCE])])


def _without_job(gap_ids: Iterable[int]) -> list[int]:
    """Return those of these gaps for which no job waits, runs or is dead."""
    ids = list(gap_ids)
    served = {key.split(":")[1] for key in held_keys(_KEY)} if ids else set()
    return [gap_id for gap_id in ids if str(gap_id) not in served]


def _prepare(job: ClaimedJob) -> Prepared:
    gap = Gap.objects.select_related("series").filter(pk=job.payload["gap"]).first()
    if gap is None or gap.state not in _WORTH_FILLING:
        return Done()
    if gap.series_id in _filled_before(gap):
        return Snooze(timedelta(seconds=1))
    feeds = feeds_of(gap.series_id)
    left = [feed for feed in feeds if feed.name not in gap.asked]
    if not left or (timezone.now() - gap.found_at > _LONGEST and job.snoozes > 0):
        _give_up(gap, asked_anybody=bool(feeds) and not left)
        return Done()
    feed = _choose(job, left)
    try:
        account = find_account(feed.address.account)
    except ReliabilityError as error:
        return Snooze(_LATER, JobError(error.code, error.message))
    if gap.state != GapState.FILLING:
        before, gap.state = gap.state, GapState.FILLING.value
        gap.save(update_fields=["state"])
        gap_event(gap, before, "filling", detail={"source": feed.name}).save()
    start, end, token = _place(job, feed, gap)
    return BackfillRequest(
        gap.pk,
        gap.series_id,
        feed,
        account,
        gap.series.symbol,
        gap.series.timeframe,
        gap.series.calendar,
        start,
        end,
        token,
    )


def _choose(job: ClaimedJob, left: Sequence[FeedProfile]) -> FeedProfile:
    """Return whom to ask: whoever has the next page, else in turn, so that a source that failed is not in the way."""
    named = [feed for feed in left if feed.name == job.payload.get("source")]
    return named[0] if named and job.snoozes == 0 else left[job.snoozes % len(left)]


def _place(job: ClaimedJob, feed: FeedProfile, gap: Gap) -> tuple[datetime, datetime, str]:
    """Return what to ask for: the next page of what was asked before, although the gap has shrunk, or all of it."""
    place = job.payload
    if place.get("source") != feed.name:
        return gap.started_at, gap.ended_at, ""
    return datetime.fromisoformat(place["start"]), datetime.fromisoformat(place["end"]), place["token"]


def _filled_before(gap: Gap) -> set[int]:
    """Return the series when an earlier gap of it is still being filled."""
    earlier = Gap.objects.filter(
        series_id=gap.series_id, state=GapState.FILLING.value, started_at__lt=gap.started_at
    ).exclude(pk=gap.pk)
    return set(earlier.values_list("series_id", flat=True)[:1])


def _apply(outcome: Performed) -> Disposition:
    request: BackfillRequest = outcome.request
    if isinstance(outcome.error, BrokerCallError):
        error = outcome.error
        _note(request, BarPage(()), Intake(), error)
        wait = timedelta(seconds=error.retry_after_seconds) if error.retry_after_seconds else _LATER
        return Snooze(min(max(wait, timedelta(seconds=1)), timedelta(minutes=5)), JobError(error.code, error.message))
    if outcome.error is not None:
        return failure_disposition(outcome)
    page: BarPage = outcome.result
    deliveries = [Delivery(bar.symbol, bar.given, bar.is_revision) for bar in page.bars]
    asked = (request.start.timestamp(), request.end.timestamp())
    source = Source(request.feed.name, Origin.BACKFILL, asked=asked)
    taken = take_for_series(source, request.series_id, deliveries, now=timezone.now()) if deliveries else Intake()
    _note(request, page, taken, None)
    if not any(stamp is None or source.answers(stamp) for stamp in (one.stamp() for one in deliveries)):
        page = BarPage(page.bars)  # all of another time: its further pages are no answer either
    return _go_on(request, page)


def _go_on(request: BackfillRequest, page: BarPage) -> Disposition:
    """Ask for the next page, then for what the source lacked from the next source, until nothing is missing."""
    gap = Gap.objects.select_for_update().select_related("series").get(pk=request.gap_id)
    if gap.state != GapState.FILLING:
        return Done()
    if page.next_token:
        stretch = {"start": request.start.isoformat(), "end": request.end.isoformat()}
        _enqueue_rest(gap, {"source": request.feed.name, "token": page.next_token, **stretch})
        return Done()
    gap.asked = [*gap.asked, request.feed.name]
    gap.save(update_fields=["asked"])
    if all(feed.name in gap.asked for feed in feeds_of(gap.series_id)):
        _give_up(gap, asked_anybody=True)
    else:
        _enqueue_rest(gap, {})
    return Done()


def _enqueue_rest(gap: Gap, place: Mapping[str, str]) -> None:
    """Go on in a job of its own, under another key: this one is not finished yet."""
    key = f"{_KEY}{gap.pk}:{len(gap.asked)}:{place.get('token', '')}"[:200]
    enqueue_jobs(BACKFILL_KIND, [NewJob(payload={"gap": gap.pk, **place}, unique_key=key)])


def _give_up(gap: Gap, *, asked_anybody: bool) -> None:
    if asked_anybody and _nothing_was_traded(gap):
        _end(gap, GapState.ACCEPTED, "Every source says that nothing was traded.")
    else:
        who = ", ".join(gap.asked) if gap.asked else "nobody"
        _end(gap, GapState.UNFILLABLE, f"Asked: {who}. No source has these bars.")


def _nothing_was_traded(gap: Gap) -> bool:
    """Return whether a missing bar means that, by the word of each feed that was asked and lacks it."""
    default = GapPolicy(gap.series.gap_policy)
    asked = [feed.gap_policy or default for feed in feeds_of(gap.series_id) if feed.name in gap.asked]
    return bool(asked) and all(policy is GapPolicy.WHEN_TRADED for policy in asked)


def _end(gap: Gap, state: GapState, reason: str, *, actor: str = "") -> None:
    before, gap.state, gap.reason = gap.state, state.value, reason[:500]
    gap.save(update_fields=["state", "reason"])
    gap_event(gap, before, state.value, actor=actor, detail={"reason": reason[:500]}).save()


def _note(request: BackfillRequest, page: BarPage, taken: Intake, error: BrokerCallError | None) -> None:
    BackfillAttempt.objects.create(
        gap_id=request.gap_id,
        source=request.feed.name,
        started_at=request.start,
        ended_at=request.end,
        given=len(page.bars),
        usable=len(taken.new) + len(taken.revised),
        questionable=taken.held,
        error_code=error.code if error else "",
        error_message=error.message[:500] if error else "",
    )
