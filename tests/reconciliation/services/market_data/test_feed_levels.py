"""Feeds are judged by slices of time, and only while their market is open."""

from datetime import UTC, datetime, timedelta

import pytest

from reconciliation.models import BarSeries, Feed, FeedSubscription
from reconciliation.services.market_data import feed_levels
from reconciliation.services.market_data.feed_levels import count_slices, judge_feeds
from reliability.models import ServiceLevel
from reliability.services.metering import meter
from reliability.services.service_levels import ensure_levels, list_states, sample

pytestmark = pytest.mark.django_db

OPEN = datetime(2024, 7, 8, 14, 0, tzinfo=UTC)  # a Monday; XNAS is open from 13:30 to 20:00
NIGHT = datetime(2024, 7, 8, 23, 0, tzinfo=UTC)


@pytest.fixture
def feed() -> Feed:
    return Feed.objects.create(name="iex", account="desk", stream_url="wss://data.example", state="up")


def subscribe(feed: Feed, symbol: str, checked_until: datetime, timeframe: str = "1Min") -> BarSeries:
    series = BarSeries.objects.create(symbol=symbol, timeframe=timeframe, calendar="XNAS", checked_until=checked_until)
    FeedSubscription.objects.create(feed=feed, series=series)
    return series


def judged(now: datetime) -> dict[str, bool]:
    return judge_feeds(list(BarSeries.objects.all()), now)


def test_a_feed_is_good_while_bars_come_and_bad_while_one_series_is_stale(feed: Feed) -> None:
    subscribe(feed, "AAPL", OPEN - timedelta(minutes=1))
    assert judged(OPEN) == {"iex": True}

    subscribe(feed, "MSFT", OPEN - timedelta(minutes=9))
    assert judged(OPEN) == {"iex": False}


def test_a_feed_that_is_down_is_bad_although_its_bars_are_recent(feed: Feed) -> None:
    subscribe(feed, "AAPL", OPEN - timedelta(minutes=1))
    Feed.objects.update(state="down")
    assert judged(OPEN) == {"iex": False}


def test_a_closed_market_counts_for_neither(feed: Feed) -> None:
    series = subscribe(feed, "AAPL", NIGHT - timedelta(hours=9))
    assert judged(NIGHT) == {}
    assert judged(datetime(2024, 7, 6, 15, 0, tzinfo=UTC)) == {}  # a Saturday

    series.checked_until = OPEN - timedelta(minutes=1)
    assert judge_feeds([series], OPEN) == {"iex": True}


def test_daily_bars_and_feeds_that_are_switched_off_are_not_looked_at(feed: Feed) -> None:
    subscribe(feed, "AAPL", OPEN - timedelta(days=30), "1Day")
    assert judged(OPEN) == {}
    subscribe(feed, "MSFT", OPEN - timedelta(minutes=1))
    Feed.objects.update(enabled=False)
    assert judged(OPEN) == {}


def test_slices_become_a_budget(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    meter.begin_anew()
    ensure_levels()
    assert ServiceLevel.objects.get(service="feeds").target_percent == 99
    series = [subscribe(feed, "AAPL", OPEN - timedelta(minutes=1))]
    for number in range(4):
        monkeypatch.setattr(feed_levels, "_last_look", [-60.0])
        count_slices(series, OPEN if number else OPEN + timedelta(minutes=9))
        count_slices(series, OPEN)  # within the same ten seconds: no further slice
    meter.write()
    sample(OPEN)

    (state,) = [one for one in list_states(OPEN) if one.sampled.service == "feeds"]
    assert (state.sampled.subject, state.period.good, state.period.bad) == ("iex", 3, 1)
    meter.begin_anew()
