"""The page of market data: what is seen, and what may be decided there."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.template.loader import get_template
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from reconciliation.core.gaps import GapPolicy
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import Bar, BarRelease, BarSeries, Feed, FeedSubscription, Gap, LastTick, QuestionableBar
from reconciliation.services.market_data.calendars import calendar_between
from reconciliation.services.market_data.feeds import subscribe
from reconciliation.services.market_data.intake import Origin, Source, take_deliveries
from reconciliation.services.market_data.partitions import forget_partitions
from reconciliation.services.market_data.quality import read_quality
from reconciliation.services.market_data.usual_silence import learn_silence
from reconciliation.services.market_data.watching import check_account_gaps, look_at_series
from reliability.core.conditions import CONDITIONS
from reliability.models import Alert, AuditEntry, Job
from tests.factories import make_lanes, make_user
from tests.reconciliation.market import OPEN, scaled, walk
from tests.reconciliation.services.market_data.making import series_called

pytestmark = pytest.mark.django_db
BARS = walk(random.Random(1), 120)
NOW = datetime.fromtimestamp(BARS[99].stamp + 66, UTC)


@pytest.fixture(autouse=True, scope="module")
def at_hand() -> None:
    """What takes a second the first time is not done inside a test's transaction, which would time out."""
    reverse("market-data")
    get_template("reconciliation/market_data.html")
    for stamp in (OPEN, int(datetime.now(UTC).timestamp())):
        calendar_between("XNAS", stamp, stamp)


@pytest.fixture
def series() -> BarSeries:
    """A hundred minutes of one symbol: three missing, one questionable."""
    forget_partitions()
    make_lanes()
    made = series_called("S")
    feed = Feed.objects.create(name="sim-a", account="sim-a")
    FeedSubscription.objects.create(feed=feed, series=made)
    source = Source("sim-a", Origin.STREAM, late_seconds=7_200)
    deliveries = [bar.delivery("S") for bar in (*BARS[:40], *BARS[43:60], *BARS[61:100])]
    deliveries.append(BARS[60].delivery("S", **scaled(BARS[60], 10)))
    take_deliveries(source, Timeframe.MINUTE, deliveries, now=NOW)
    return BarSeries.objects.get(pk=made.pk)


def login(*permissions: str) -> Client:
    client = Client()
    client.force_login(make_user("reconciliation.view_barseries", *permissions))
    return client


def test_the_page_shows_quality_gaps_and_what_may_not_be_used(series):
    page = login().get("/market-data").content.decode()

    assert "2024-07-08: 100 due, 96 usable, 3 missing; 96 late, 1 questionable; sim-a: 96" in page
    assert "3 bars, 2024-07-08 14:10 to 2024-07-08 14:12 UTC: found" in page
    assert "extreme" in page
    assert "Accept" not in page


def test_the_page_shows_how_fresh_each_symbol_is(series):
    at = timezone.now() - timedelta(hours=2)
    LastTick.objects.create(
        feed=Feed.objects.get(),
        symbol="S",
        quote_at=at,
        bid=Decimal("100.1000"),
        trade_at=at,
        price=7,
        habit_seconds=40,
    )
    page = login().get("/market-data").content.decode()

    assert "Last quotes and trades" in page
    assert "100.1 / —" in page
    assert "<td>40</td>" in page


def test_complete_in_time_and_valid_are_counted_per_day_and_source(series):
    day = NOW.date()
    quality = read_quality([series], day, day, NOW)[series.pk][day]

    assert (quality.expected, quality.received, quality.missing, quality.held) == (100, 96, 3, 1)
    assert quality.completeness == 0.97
    assert quality.validity == pytest.approx(96 / 97)
    assert quality.by_source == {"sim-a": [96, 96, 1]}


def test_a_gap_is_accepted_by_who_may_and_with_a_reason(series):
    gap = Gap.objects.get(cause="missing")
    client = login("reconciliation.operate_marketdata")
    client.post(f"/market-data/gaps/{gap.pk}/accept", {"next": "/market-data"})
    assert Gap.objects.get(pk=gap.pk).state == "found"

    client.post(f"/market-data/gaps/{gap.pk}/accept", {"next": "/market-data", "reason": "halted"})
    assert (Gap.objects.get(pk=gap.pk).state, Gap.objects.get(pk=gap.pk).reason) == ("accepted", "halted")
    assert login().post(f"/market-data/gaps/{gap.pk}/retry", {"reason": "x"}).status_code == 403
    assert Client().get("/market-data").status_code == 302


def test_the_sentinel_has_gaps_filled_and_tells_people_of_those_that_stay(series):
    BarSeries.objects.update(created_at=datetime.fromtimestamp(OPEN, UTC))
    look_at_series(NOW)
    assert Job.objects.filter(kind="market_data.backfill").count() == 2
    assert not Alert.objects.exclude(condition="data.quality").exists()

    Gap.objects.update(found_at=datetime(2024, 7, 8, 15, tzinfo=UTC))
    later = datetime.fromtimestamp(BARS[104].stamp + 66, UTC)
    look_at_series(later)
    told = dict(Alert.objects.values_list("condition", "message"))
    assert told["data.gap"] == "S 1Min: 3 bars are missing from 2024-07-08 14:10 UTC on."
    assert "5 more were due" in told["data.stale"]
    assert told["data.quality"].startswith("S 1Min today: complete 97.0%")


def test_only_the_history_that_is_being_fetched_excuses_a_series_that_is_behind(series):
    later = datetime.fromtimestamp(BARS[104].stamp + 66, UTC)
    Gap.objects.update(found_at=later - timedelta(seconds=1))
    look_at_series(later)
    assert not Alert.objects.filter(condition="data.stale").exists()

    BarSeries.objects.update(created_at=datetime.fromtimestamp(OPEN, UTC))
    look_at_series(later)
    assert Alert.objects.filter(condition="data.stale").exists()


def test_the_look_that_finds_the_history_of_a_new_series_to_be_fetched_tells_nobody_that_it_is_behind():
    """Every first start told of three such series."""
    make_lanes()
    made = series_called("NEW", "24/7")
    feed = Feed.objects.create(name="sim-a", account="sim-a", state="up")
    now = timezone.now()
    subscribe(feed, made, since=now - timedelta(minutes=30))
    look_at_series(now)

    gap = Gap.objects.get()
    assert (gap.state, gap.found_at) == ("found", now)
    assert gap.missing >= 28
    assert not Alert.objects.filter(condition="data.stale").exists()


def test_a_recovery_waits_for_gaps_that_are_being_filled(series, account):
    Feed.objects.update(account=account.name)
    assert (check_account_gaps(account.pk).open_gaps, check_account_gaps(account.pk).is_settled) == (1, False)

    Gap.objects.update(state="unfillable")
    assert (check_account_gaps(account.pk).open_gaps, check_account_gaps(account.pk).is_settled) == (1, True)


def test_days_outside_a_series_are_not_good_days(series):
    day = NOW.date()
    table = read_quality([series], day - timedelta(days=3), day + timedelta(days=2), NOW)[series.pk]

    assert [one.is_outside for one in table.values()] == [True, True, True, False, True, True]
    assert {one.score for one in table.values() if one.is_outside} == {None}
    assert "2024-07-05: outside the series, nothing is known" in login().get("/market-data").content.decode()


def test_a_bar_kept_aside_is_used_once_somebody_who_may_says_why(series):
    held = QuestionableBar.objects.get(state="held")
    address = f"/market-data/bars/{held.pk}/confirm"
    assert login().post(address, {"reason": "x"}).status_code == 403
    client = login("reconciliation.operate_marketdata")
    assert "It is true: use it" in client.get("/market-data").content.decode()
    client.post(address, {"next": "/market-data"})
    assert not Bar.objects.filter(series=series, opened_at=held.stamp).exists()

    client.post(address, {"next": "/market-data", "reason": "their notice says so"})
    held.refresh_from_db()
    bar = Bar.objects.get(series=series, opened_at=held.stamp)
    assert (held.state, bar.quality, str(bar.close.normalize())) == ("confirmed", "confirmed", held.given["close"])
    assert held.decided_by == AuditEntry.objects.get(action="bar.confirm").actor
    assert not Gap.objects.filter(cause="questionable", state="found").exists()
    again = client.post(address, {"next": "/market-data", "reason": "twice"}, follow=True).content.decode()
    assert "Nothing was changed" in again
    assert BarRelease.objects.filter(series=series, opened_at=held.stamp).count() <= 1


def test_what_cannot_be_true_is_never_used(series):
    numbers = {**scaled(BARS[70], 1), "high": 0}
    take_deliveries(
        Source("sim-b", Origin.STREAM, 7_200), Timeframe.MINUTE, [BARS[70].delivery("S", **numbers)], now=NOW
    )
    held = QuestionableBar.objects.filter(source="sim-b").get()
    client = login("reconciliation.operate_marketdata")
    assert "cannot be true" in client.get("/market-data").content.decode()
    page = client.post(f"/market-data/bars/{held.pk}/confirm", {"reason": "x", "next": "/market-data"}, follow=True)
    assert "nobody can confirm it" in page.content.decode()


def test_a_feed_that_is_down_is_told_by_itself_and_no_order_stream_hides_it(series):
    Feed.objects.update(state="down", state_since=NOW - timedelta(seconds=11), last_error="refused")
    later = datetime.fromtimestamp(BARS[104].stamp + 66, UTC)
    look_at_series(later)

    assert Alert.objects.get(condition="feed.silent").message == "The feed sim-a is down: refused"
    assert "stream.silent" not in CONDITIONS["data.stale"].inhibited_by + CONDITIONS["data.gap"].inhibited_by


def test_a_rarely_traded_symbol_is_stale_by_its_own_habit(series):
    BarSeries.objects.update(gap_policy="when_traded")
    quiet = series_called("Q", policy=GapPolicy.WHEN_TRADED)
    FeedSubscription.objects.create(feed=Feed.objects.get(), series=quiet)
    rare = walk(random.Random(2), 380)
    source = Source("sim-a", Origin.STREAM, late_seconds=86_400)
    end = datetime.fromtimestamp(rare[300].stamp + 66, UTC)
    shown = [bar.delivery("Q") for bar in rare[:301] if bar.stamp % 240 == 0 or bar is rare[300]]
    take_deliveries(source, Timeframe.MINUTE, shown, now=end)
    learn_silence([quiet], end)
    assert BarSeries.objects.get(pk=quiet.pk).quiet_slots is None, "too few bars to know"

    take_deliveries(source, Timeframe.MINUTE, [bar.delivery("Q") for bar in rare[:301]], now=end)
    learn_silence([quiet], end)
    assert BarSeries.objects.get(pk=quiet.pk).quiet_slots == 2
    quiet.refresh_from_db()
    look_at_series(datetime.fromtimestamp(rare[304].stamp + 66, UTC))
    alert = Alert.objects.get(condition="data.stale", scope="series:Q/1Min")
    assert "Usually at most 2 are missing" in alert.message
