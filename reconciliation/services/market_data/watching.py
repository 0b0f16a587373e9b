"""What the sentinel looks at: gaps of live series, their backfill, stale data, and releases to announce."""

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import redis
from django.db.models import F
from django.utils import timezone

from brokers.services.accounts import get_profile
from reconciliation.core.gaps import GapCause, GapState
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import BarSeries, Feed, FeedSubscription, Gap
from reconciliation.services.gap_checks import GapCheck
from reconciliation.services.market_data.announcing import announce_released
from reconciliation.services.market_data.backfill_job import enqueue_unfilled
from reconciliation.services.market_data.calendars import prepare_calendar
from reconciliation.services.market_data.feed_levels import count_slices
from reconciliation.services.market_data.feeds import follow_feed_policies
from reconciliation.services.market_data.freshness import silent_series
from reconciliation.services.market_data.gap_watch import watch_gaps
from reconciliation.services.market_data.lateness import lateness, trades_rarely
from reconciliation.services.market_data.quality import tell_quality
from reconciliation.services.market_data.releases import release_waiting
from reconciliation.services.market_data.usual_silence import learn_silence
from reliability.services.alert_thresholds import read_thresholds
from reliability.services.alerting import Raising, follow_condition

_EVERY_SECONDS = 2.0
_PATIENCE = timedelta(seconds=60)  # history may take this long to begin to come, and a feed to be tried

logger = logging.getLogger(__name__)
_looked_at = 0.0
_quality_minute = [-1]  # days are added up once a minute
_learned_hour = [-1]  # what is usual is learned once an hour


def watch_market_data() -> None:
    """Do what is due. Raises ``DatabaseError``; Redis away delays announcements only."""
    global _looked_at
    if time.monotonic() - _looked_at >= _EVERY_SECONDS:
        _looked_at = time.monotonic()
        look_at_series(timezone.now())
    try:
        announce_released()
    except (redis.RedisError, OSError) as error:
        logger.warning("bars are not announced for now", extra={"error": str(error)})


def look_at_series(now: datetime) -> None:
    """Find what is missing of subscribed series, have it filled, and tell people what stays missing or is stale."""
    follow_feed_policies()
    series = list(
        BarSeries.objects.filter(
            pk__in=FeedSubscription.objects.filter(feed__enabled=True).values("series"), checked_until__isnull=False
        )
    )
    for calendar, timeframe in {(one.calendar, name) for one in series for name in (one.timeframe, Timeframe.MINUTE)}:
        prepare_calendar(calendar, timeframe, now)
    ids = [one.pk for one in series]
    if ids:
        watch_gaps(ids, now)
        enqueue_unfilled(ids, now)
        release_waiting(ids)
    _tell_gaps(ids, now)
    _tell_stale(series, now)
    count_slices(series, now)
    _tell_feeds(now)
    if now.minute != _quality_minute[0]:
        _quality_minute[0] = now.minute
        tell_quality(series, now)
    if now.hour != _learned_hour[0]:
        _learned_hour[0] = now.hour
        learn_silence(series, now)


def check_account_gaps(account_id: int) -> GapCheck:
    """Return the gaps of the series that feeds of an account deliver, for a recovery of that account."""
    name = get_profile(account_id).name
    series = FeedSubscription.objects.filter(feed__account=name, feed__enabled=True).values("series")
    gaps = Gap.objects.filter(series__in=series, cause=GapCause.MISSING.value)
    unsettled = gaps.filter(state__in=[GapState.FOUND.value, GapState.FILLING.value]).count()
    given_up = gaps.filter(state=GapState.UNFILLABLE.value).count()
    reason = f"{unsettled} gaps in market data are being filled." if unsettled else ""
    return GapCheck(unsettled + given_up, is_settled=unsettled == 0, reason=reason)


def _tell_gaps(series_ids: Sequence[int], now: datetime) -> None:
    patience = timedelta(seconds=read_thresholds("data.gap")["patience_seconds"])
    gaps = Gap.objects.select_related("series").filter(series_id__in=series_ids, found_at__lte=now - patience)
    present: dict[str, Raising] = {}
    states = [GapState.FOUND.value, GapState.FILLING.value, GapState.UNFILLABLE.value]
    for gap in gaps.filter(state__in=states, cause=GapCause.MISSING.value).order_by("started_at")[:500]:
        scope = _scope(gap.series)
        message = f"{gap.series}: {gap.missing} bars are missing from {gap.started_at:%Y-%m-%d %H:%M} UTC on."
        present.setdefault(scope, Raising("data.gap", scope, message=message))
    follow_condition("data.gap", list(present.values()), reason="nothing is missing any more", prefix="series:")


def _tell_stale(series: Sequence[BarSeries], now: datetime) -> None:
    """Tell of series that are behind.

    One that begins in the past has its history fetched first and is not stale meanwhile. A gap from later on is no
    excuse: a dead feed makes a new one every minute.
    """
    fetching = Gap.objects.filter(
        series__in=series,
        state__in=[GapState.FOUND.value, GapState.FILLING.value],
        found_at__gt=now - _PATIENCE,
        found_at__lte=now,
        started_at__lt=F("series__created_at"),
    )
    busy = set(fetching.values_list("series_id", flat=True))
    bars = int(read_thresholds("data.stale")["bars"])
    settled = [one for one in series if one.pk not in busy]
    silent = silent_series(settled, now)
    present = []
    for one in settled:
        late = lateness(one, now)
        allowed = late.allowed if trades_rarely(one) else bars
        if late.lacking > allowed:
            message = f"{one}: the last bar is of {one.checked_until:%Y-%m-%d %H:%M} UTC, {late.lacking} more were due."
            if trades_rarely(one):
                message += f" Usually at most {late.allowed} are missing."
            present.append(Raising("data.stale", _scope(one), message=message))
        elif one.pk in silent:
            present.append(Raising("data.stale", _scope(one), message=f"{one}: {silent[one.pk]}."))
    follow_condition("data.stale", present, reason="bars come again", prefix="series:")


def _tell_feeds(now: datetime) -> None:
    """A feed that somebody wants bars of is told while it is down; one that nobody has tried yet, after a minute."""
    patience = timedelta(seconds=read_thresholds("feed.silent")["silent_seconds"])
    down = Feed.objects.filter(enabled=True, state=Feed.State.DOWN, state_since__lte=now - patience)
    down = down.exclude(last_error="", state_since__gt=now - _PATIENCE)
    present = [
        Raising("feed.silent", f"feed:{one.name}", message=f"The feed {one.name} is down: {one.last_error or 'silent'}")
        for one in down.filter(subscriptions__isnull=False).distinct()
    ]
    follow_condition("feed.silent", present, reason="it is heard", prefix="feed:")


def _scope(series: BarSeries) -> str:
    return f"series:{series.symbol}/{series.timeframe}"
