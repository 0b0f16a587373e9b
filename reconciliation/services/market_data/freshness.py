"""How fresh each symbol of each feed is: the age of its last quote or trade beside what is usual for that symbol.

Age counts time in which the market was open. Where no habit is known yet, the bars alone decide.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice

from reconciliation.core.slots import Stamping
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import BarSeries, FeedSubscription, LastTick
from reconciliation.services.market_data.calendars import grid_around, prepare_calendar
from reconciliation.services.market_data.lateness import lateness, trades_rarely
from reliability.services.alert_thresholds import read_thresholds


@dataclass(frozen=True, slots=True)
class Freshness:
    """One symbol at one feed.

    ``age_seconds`` is since the last quote or trade, None where none came or the market is closed; ``habit_seconds``
    is how long it may be without being unusual, None while that is not known. ``reason`` says why it is stale.
    """

    symbol: str
    feed: str
    quote_at: datetime | None
    bid: Decimal | None
    ask: Decimal | None
    trade_at: datetime | None
    price: Decimal | None
    size: Decimal | None
    bar_at: datetime | None
    age_seconds: int | None
    habit_seconds: int | None
    is_open: bool
    reason: str
    refused: int
    refused_reason: str

    @property
    def is_stale(self) -> bool:
        return bool(self.reason)


def read_freshness(
    now: datetime, *, symbol: str = "", feed: str = "", stale: bool | None = None, limit: int = 1000
) -> list[Freshness]:
    """Return how fresh the symbols of enabled feeds are, by symbol and feed; only the stale ones, or only the others.

    The calendars of what is asked for are made ready, so no transaction should be open.
    """
    wanted = FeedSubscription.objects.filter(feed__enabled=True).select_related("feed", "series")
    if symbol:
        wanted = wanted.filter(series__symbol=symbol)
    if feed:
        wanted = wanted.filter(feed__name=feed)
    by_symbol: dict[tuple[str, str], list[FeedSubscription]] = defaultdict(list)
    for one in wanted.order_by("series__symbol", "feed__priority", "feed__name", "series__timeframe"):
        by_symbol[one.series.symbol, one.feed.name].append(one)
    feeds = {one.feed_id for group in by_symbol.values() for one in group}
    ticks = {(tick.symbol, tick.feed_id): tick for tick in LastTick.objects.filter(feed__in=feeds)}
    for calendar in {one.series.calendar for group in by_symbol.values() for one in group}:
        prepare_calendar(calendar, Timeframe.MINUTE, now)
    bars = int(read_thresholds("data.stale")["bars"])
    found = (
        _freshness(group, ticks.get((name, group[0].feed_id)), now, bars) for (name, _), group in by_symbol.items()
    )
    return list(islice((one for one in found if stale is None or one.is_stale is stale), limit))


def _freshness(group: Sequence[FeedSubscription], tick: LastTick | None, now: datetime, bars: int) -> Freshness:
    first = group[0]
    opened = _open_since(first.series.calendar, now)
    tick = tick or LastTick(feed=first.feed, symbol=first.series.symbol)
    known = tick if first.feed.with_ticks else LastTick(feed=first.feed, symbol=tick.symbol, bar_at=tick.bar_at)
    age = _age(known.quote_at, known.trade_at, opened, now)
    reason = "" if age is None else _silence(age, known.habit_seconds)
    if not reason:
        reason = next((text for one in group if (text := _behind(one.series, now, bars))), "")
    return Freshness(
        symbol=first.series.symbol,
        feed=first.feed.name,
        quote_at=known.quote_at,
        bid=known.bid,
        ask=known.ask,
        trade_at=known.trade_at,
        price=known.price,
        size=known.size,
        bar_at=known.bar_at,
        age_seconds=age,
        habit_seconds=known.habit_seconds,
        is_open=opened is not None,
        reason=reason,
        refused=known.refused,
        refused_reason=known.refused_reason,
    )


def silent_series(series: Sequence[BarSeries], now: datetime) -> dict[int, str]:
    """Return, of these series, those without a quote or trade for unusually long at every feed whose habit is known.

    Their calendars must be at hand (``prepare_calendar``).
    """
    known: dict[str, list[tuple[datetime | None, datetime | None, int]]] = defaultdict(list)
    rows = LastTick.objects.filter(
        feed__enabled=True, feed__with_ticks=True, feed__subscriptions__series__in=series, habit_seconds__isnull=False
    )
    columns = ("symbol", "quote_at", "trade_at", "habit_seconds")
    for symbol, quote_at, trade_at, habit in rows.values_list(*columns, "feed_id").distinct().values_list(*columns):
        known[symbol].append((quote_at, trade_at, habit or 0))
    silent: dict[int, str] = {}
    for one in series:
        opened = _open_since(one.calendar, now) if one.symbol in known else None
        reasons = []
        for quote_at, trade_at, habit in known[one.symbol] if opened is not None else ():
            age = _age(quote_at, trade_at, opened, now)
            reasons.append("" if age is None else _silence(age, habit))
        if reasons and all(reasons):
            silent[one.pk] = min(reasons, key=len)
    return silent


def _open_since(calendar: str, now: datetime) -> int | None:
    """Return since when the market is open, or None while it is closed."""
    moment = int(now.timestamp())
    return grid_around(calendar, Timeframe.MINUTE, Stamping(), moment, moment).run_start(moment)


def _age(quote_at: datetime | None, trade_at: datetime | None, opened: int | None, now: datetime) -> int | None:
    last = max((moment for moment in (quote_at, trade_at) if moment is not None), default=None)
    if last is None or opened is None:
        return None
    return max(0, int(now.timestamp() - max(last.timestamp(), opened)))


def _silence(age: int, habit: int | None) -> str:
    if habit is None or age <= habit:
        return ""
    return f"no quote or trade for {age} s; usually at most {habit} s"


def _behind(series: BarSeries, now: datetime, bars: int) -> str:
    if series.checked_until is None:
        return ""
    prepare_calendar(series.calendar, series.timeframe, now)
    late = lateness(series, now)
    is_behind = late.lacking > (late.allowed if trades_rarely(series) else bars)
    return f"{late.lacking} {series.timeframe} bars were due" if is_behind else ""
