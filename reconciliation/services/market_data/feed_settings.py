"""Set up feeds and what they deliver; each change is audited."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from brokers.services.market_data import find_account
from reconciliation.core.gaps import GapPolicy
from reconciliation.core.slots import Stamping
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import BarSeries, Feed
from reconciliation.services.market_data.backfill_request import require_possible_stretch
from reconciliation.services.market_data.calendars import prepare_calendar
from reconciliation.services.market_data.feeds import subscribe
from reconciliation.services.market_data.series import open_series
from reliability.core.errors import ReliabilityError
from reliability.services.audit import record_audit


def add_feed(
    name: str,
    *,
    account: str,
    data_url: str,
    stream_url: str,
    priority: int,
    by: str,
    policy: GapPolicy | None = None,
) -> Feed:
    """Make a feed; ``policy`` says whether its missing bars are gaps, None: as each of its series says.

    Raises:
        ReliabilityError: the name is taken or unusable, an address is none, or there is no such account.
    """
    if not name or len(name) > 64 or not name.isprintable() or not 0 <= priority < 32_768:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "A feed needs a name and a priority from 0 to 32767.")
    for url, schemes in ((data_url, ("http://", "https://")), (stream_url, ("ws://", "wss://"))):
        if url and (not url.startswith(schemes) or len(url) > 300):
            raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"{url!r} is no address of {' or '.join(schemes)}.")
    find_account(account)
    with transaction.atomic():
        if Feed.objects.filter(name=name).exists():
            raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"There is a feed called {name!r} already.")
        feed = Feed.objects.create(
            name=name,
            account=account,
            data_url=data_url,
            stream_url=stream_url,
            priority=priority,
            gap_policy=policy.value if policy else "",
        )
        after = {"account": account, "data_url": data_url, "stream_url": stream_url, "priority": priority}
        after |= {"gap_policy": feed.gap_policy}
        record_audit(by, "feed.add", f"feed:{name}", after=after)
    return feed


def subscribe_symbol(
    name: str,
    *,
    symbol: str,
    timeframe: Timeframe,
    calendar: str,
    policy: GapPolicy,
    by: str,
    since: datetime | None = None,
) -> BarSeries:
    """Have a feed deliver the bars of a symbol from now on; of a new series, those from ``since`` on are fetched.

    Raises:
        ReliabilityError: there is no such feed or calendar, the series is known under another calendar, or ``since``
            is in the future or before the history of the feed.
    """
    feed = Feed.objects.filter(name=name).first()
    if feed is None:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"There is no feed called {name!r}.")
    if since is not None:
        require_possible_stretch(since, max(since, timezone.now()), [feed])
    prepare_calendar(calendar, timeframe, timezone.now())
    with transaction.atomic():
        series = open_series(symbol, timeframe, calendar, policy, Stamping())
        subscribe(feed, series, since=since)
        after = {"symbol": symbol, "timeframe": timeframe.value, "calendar": calendar, "policy": policy.value}
        record_audit(by, "feed.subscribe", f"feed:{name}", after=after)
    return series
