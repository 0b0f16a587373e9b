"""The feeds as plain values: who delivers which series, and in which order they are asked."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.utils import timezone

from brokers.services.market_data import SourceAddress
from reconciliation.core.bars import instant
from reconciliation.core.gaps import GapPolicy
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import BarSeries, Feed, FeedSubscription
from reconciliation.services.market_data.calendars import last_due_stamp, prepare_calendar

_FOLLOW = """
UPDATE reconciliation_barseries SET feed_policy = wanted.policy
FROM (SELECT series.id, coalesce((
          SELECT feed.gap_policy FROM reconciliation_feedsubscription subscription
          JOIN reconciliation_feed feed ON feed.id = subscription.feed_id AND feed.enabled
          WHERE subscription.series_id = series.id ORDER BY feed.priority, feed.name LIMIT 1), '') AS policy
      FROM reconciliation_barseries series) AS wanted
WHERE reconciliation_barseries.id = wanted.id AND reconciliation_barseries.feed_policy <> wanted.policy
"""


@dataclass(frozen=True, slots=True)
class FeedProfile:
    """One enabled feed.

    ``symbols`` are those whose minute bars it is asked to stream, ``tick_symbols`` those whose last quotes and trades
    it is asked for. ``gap_policy`` None: as each of its series says.
    """

    id: int
    name: str
    address: SourceAddress
    late_seconds: float
    gap_policy: GapPolicy | None
    symbols: frozenset[str]
    tick_symbols: tuple[str, ...]
    series: tuple[tuple[int, str, Timeframe], ...]


def list_feeds() -> list[FeedProfile]:
    """Return the enabled feeds, in the order in which they are asked."""
    wanted: dict[int, list[tuple[int, str, Timeframe]]] = {}
    rows = FeedSubscription.objects.order_by("id").values_list(
        "feed_id", "series_id", "series__symbol", "series__timeframe"
    )
    for feed_id, series_id, symbol, timeframe in rows:
        wanted.setdefault(feed_id, []).append((series_id, symbol, Timeframe(timeframe)))
    return [_profile(feed, wanted.get(feed.pk, [])) for feed in Feed.objects.filter(enabled=True)]


def _profile(feed: Feed, series: list[tuple[int, str, Timeframe]]) -> FeedProfile:
    return FeedProfile(
        id=feed.pk,
        name=feed.name,
        address=SourceAddress(feed.account, feed.data_url, feed.stream_url, feed.silence_ms / 1000),
        late_seconds=float(feed.late_seconds),
        gap_policy=GapPolicy(feed.gap_policy) if feed.gap_policy else None,
        symbols=frozenset(symbol for _, symbol, timeframe in series if timeframe is Timeframe.MINUTE),
        tick_symbols=tuple(sorted({symbol for _, symbol, _ in series})) if feed.with_ticks else (),
        series=tuple(series),
    )


def feeds_of(series_id: int) -> list[FeedProfile]:
    """Return the enabled feeds of one series, the primary first."""
    return [feed for feed in list_feeds() if any(one[0] == series_id for one in feed.series)]


def subscribe(feed: Feed, series: BarSeries, *, since: datetime | None = None) -> FeedSubscription:
    """Have a feed deliver a series from now on; its bars are expected from the next one, or from ``since`` on."""
    now = timezone.now()
    for moment in {now, since or now}:
        prepare_calendar(series.calendar, series.timeframe, moment)
    with transaction.atomic():
        locked = BarSeries.objects.select_for_update().get(pk=series.pk)
        if locked.checked_until is None:
            due = last_due_stamp(locked.calendar, Timeframe(locked.timeframe), locked.stamping, since or now)
            locked.checked_until = instant(due)
            locked.save(update_fields=["checked_until"])
        subscription, _ = FeedSubscription.objects.get_or_create(feed=feed, series=locked)
        follow_feed_policies()
    return subscription


def follow_feed_policies() -> int:
    """Have each series know what its primary feed says of missing bars; returns how many series that changes."""
    with connection.cursor() as cursor:
        cursor.execute(_FOLLOW)
        return int(cursor.rowcount)


def note_feed_state(feed_id: int, state: Feed.State, *, error: str = "") -> None:
    """Write whether a feed is heard; the instant moves only when that changed."""
    feed = Feed.objects.filter(pk=feed_id)
    feed.exclude(state=state).update(state=state, state_since=timezone.now())
    feed.update(last_error=error[:500])


def feeds_up() -> set[int]:
    return set(Feed.objects.filter(state=Feed.State.UP, enabled=True).values_list("id", flat=True))
