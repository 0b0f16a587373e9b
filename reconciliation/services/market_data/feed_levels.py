"""The service level of feeds: slices of time within trading hours, good while everything that is due comes.

A slice is one look, every ten seconds. A feed is looked at while a bar of one of its series was due a moment ago; while
its market is closed it is not, so that a quiet night neither earns nor costs budget. Daily bars say nothing about it.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from reconciliation.core.timeframes import Timeframe
from reconciliation.models import BarSeries, Feed, FeedSubscription
from reconciliation.services.market_data.lateness import Lateness, lateness
from reliability.services.service_levels import SAMPLE_EVERY, declare_level, note_slice

SERVICE = "feeds"
_last_look = [-SAMPLE_EVERY.total_seconds()]


def declare_feeds() -> None:
    """Have an objective for feeds to tune."""
    declare_level(SERVICE, "99", "market data that comes within trading hours, looked at every ten seconds")


def count_slices(series: Sequence[BarSeries], now: datetime) -> None:
    """Count a slice for each feed within its trading hours, at most once in ten seconds."""
    if time.monotonic() - _last_look[0] < SAMPLE_EVERY.total_seconds():
        return
    _last_look[0] = time.monotonic()
    for feed, is_good in judge_feeds(series, now).items():
        note_slice(SERVICE, feed, is_good=is_good)


def judge_feeds(series: Sequence[BarSeries], now: datetime) -> dict[str, bool]:
    """Return, of each enabled feed whose market is open, whether it stands and all that is due of it has come."""
    late = {one.pk: lateness(one, now) for one in series if not Timeframe(one.timeframe).is_daily}
    by_feed: dict[int, list[Lateness]] = defaultdict(list)
    for feed, one in FeedSubscription.objects.filter(series__in=late).values_list("feed", "series"):
        if late[one].in_hours:
            by_feed[feed].append(late[one])
    return {
        feed.name: not (feed.stream_url and feed.state != Feed.State.UP)
        and not any(one.is_stale for one in by_feed[feed.pk])
        for feed in Feed.objects.filter(pk__in=by_feed, enabled=True)
    }
