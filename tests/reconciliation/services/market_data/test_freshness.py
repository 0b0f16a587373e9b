"""What is fresh and what is stale: by each symbol's own habit, while its market is open."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from reconciliation.core.ticks import SymbolTicks, Tick
from reconciliation.models import BarSeries, Feed, FeedSubscription, LastTick
from reconciliation.services.market_data.freshness import read_freshness, silent_series
from reconciliation.services.market_data.last_ticks import write_ticks
from reconciliation.services.market_data.watching import look_at_series
from reliability.models import Alert
from tests.factories import make_lanes, make_user
from tests.reconciliation.services.market_data.making import series_called
from tests.reliability.api.test_errors import client_of

pytestmark = pytest.mark.django_db
NOW = datetime(2024, 7, 8, 15, 0, 30, tzinfo=UTC)  # a Monday; XNAS is open since 13:30


@pytest.fixture
def feed() -> Feed:
    make_lanes()
    made = Feed.objects.create(name="sim-a", account="sim-a", state="up")
    subscribe(made, series_called("S"))
    return made


def subscribe(feed: Feed, series: BarSeries) -> None:
    series.checked_until = NOW.replace(second=0) - timedelta(minutes=1)
    series.created_at = NOW - timedelta(days=1)
    series.save()
    FeedSubscription.objects.create(feed=feed, series=series)


def tell(feed: Feed, ago: float, *, symbol: str = "S", habit: int | None = 30, **changes: object) -> None:
    at = NOW - timedelta(seconds=ago)
    quote = Tick(at, (Decimal("100.10"), Decimal("100.2")))
    write_ticks(feed.pk, [SymbolTicks(symbol, quote=quote, habit_seconds=habit, **changes)])


def test_a_symbol_is_stale_by_its_own_habit_and_the_alert_says_so_before_a_bar_is_late(feed):
    subscribe(feed, series_called("Q"))
    tell(feed, 29)
    tell(feed, 45, symbol="Q", habit=60)
    assert [one.is_stale for one in read_freshness(NOW)] == [False, False]

    later = NOW + timedelta(seconds=2)
    assert {one.symbol: one.is_stale for one in read_freshness(later)} == {"Q": False, "S": True}
    look_at_series(later)
    alert = Alert.objects.get(condition="data.stale")
    assert (alert.scope, alert.state) == ("series:S/1Min", "open")
    assert "no quote or trade for 31 s; usually at most 30 s" in alert.message

    tell(feed, -1)
    assert silent_series(list(BarSeries.objects.all()), later + timedelta(seconds=2)) == {}


def test_a_symbol_that_another_feed_still_quotes_is_not_stale(feed):
    other = Feed.objects.create(name="sim-b", account="sim-b", state="up")
    series = BarSeries.objects.get()
    FeedSubscription.objects.create(feed=other, series=series)
    tell(feed, 500)
    tell(other, 1)
    assert silent_series([series], NOW) == {}
    assert [(one.feed, one.is_stale) for one in read_freshness(NOW)] == [("sim-a", True), ("sim-b", False)]

    Feed.objects.filter(pk=other.pk).update(with_ticks=False)
    assert list(silent_series([series], NOW)) == [series.pk]


def test_silence_counts_while_the_market_is_open(feed):
    series = BarSeries.objects.get()
    tell(feed, 70 * 3600)  # on Friday
    morning = NOW.replace(hour=13, minute=30, second=20)
    BarSeries.objects.update(checked_until=morning - timedelta(minutes=1, seconds=20))
    (one,) = read_freshness(morning)
    assert (one.age_seconds, one.is_open, one.is_stale) == (20, True, False)
    assert silent_series([series], morning + timedelta(seconds=20)) == {
        series.pk: "no quote or trade for 40 s; usually at most 30 s"
    }
    (one,) = read_freshness(morning - timedelta(hours=5))
    assert (one.age_seconds, one.is_open, one.is_stale) == (None, False, False)


def test_without_a_habit_the_bars_decide(feed):
    tell(feed, 4000, habit=None)
    assert not read_freshness(NOW)[0].is_stale
    BarSeries.objects.update(checked_until=NOW - timedelta(minutes=10, seconds=30))
    assert read_freshness(NOW)[0].reason.endswith("1Min bars were due")


def test_a_row_goes_forward_only_and_keeps_what_a_new_reader_does_not_know(feed):
    tell(feed, 10, refused=2, refused_reason="bid is -1")
    tell(feed, 20, habit=None, refused=1, refused_reason="ask is -1", bar_at=NOW)
    write_ticks(feed.pk, [SymbolTicks("S", trade=Tick(NOW, (Decimal(7), None)))])

    row = LastTick.objects.get()
    assert (row.quote_at, row.bid, row.habit_seconds) == (NOW - timedelta(seconds=10), Decimal("100.1"), 30)
    assert (row.trade_at, row.price, row.size, row.bar_at) == (NOW, Decimal(7), None, NOW)
    assert (row.refused, row.refused_reason) == (3, "ask is -1")


def test_freshness_is_read_over_http(feed):
    tell(feed, 10_000)
    client = client_of(make_user("reconciliation.view_barseries"))
    (one,) = client.get("/api/v1/freshness?symbol=S&feed=sim-a").json()["results"]
    assert (one["bid"], one["ask"], one["price"], one["habit_seconds"]) == ("100.1", "100.2", None, 30)
    assert one["is_stale"] is True
    assert client.get("/api/v1/freshness?stale=false").json()["results"] == []
    assert len(client.get("/api/v1/freshness?stale=true").json()["results"]) == 1
    assert client.get("/api/v1/freshness?limit=0").status_code == 422
    assert client_of(make_user()).get("/api/v1/freshness").status_code == 403
