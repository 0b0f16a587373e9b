"""Which markets an account's data comes from, and whether they are open."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from reconciliation.core.sessions import trading_turn
from reconciliation.models import FeedSubscription
from reconciliation.services.market_data.calendars import calendar_between


@dataclass(frozen=True, slots=True)
class Market:
    """One trading calendar; ``turns_at`` is when it opens or closes next, None where that is not known or never is."""

    calendar: str
    is_open: bool
    turns_at: datetime | None


def read_markets(now: datetime) -> dict[str, list[Market]]:
    """Return the markets of each account with an enabled feed, by name."""
    wanted = FeedSubscription.objects.filter(feed__enabled=True).order_by("feed__account", "series__calendar")
    found: dict[str, list[Market]] = defaultdict(list)
    for account, calendar in wanted.values_list("feed__account", "series__calendar").distinct():
        found[account].append(_market(calendar, now))
    return found


def _market(calendar: str, now: datetime) -> Market:
    moment = int(now.timestamp())
    return Market(calendar, *trading_turn(calendar_between(calendar, moment, moment).sessions, now))
