"""Feeds are set up and changed in admin by whoever may, on record; what they delivered is only read there."""

import pytest
from django.core.management import call_command
from django.test import Client

from brokers.services.accounts import forget_accounts
from reconciliation.models import BarSeries, Feed
from reliability.models import AuditEntry
from tests.factories import make_account, make_user

pytestmark = pytest.mark.django_db
NEW = {"name": "sim-a", "account": "desk", "data_url": "", "stream_url": "ws://127.0.0.1:9/v2/iex", "priority": "0"}


@pytest.fixture(autouse=True)
def desk(fresh_accounts: None) -> None:
    make_account("desk")
    forget_accounts()


def login(*permissions: str) -> Client:
    client = Client()
    client.force_login(make_user("reconciliation.view_feed", "reconciliation.view_barseries", *permissions))
    return client


def test_a_feed_is_added_and_changed_by_whoever_may_and_it_is_on_record() -> None:
    assert login().post("/admin/reconciliation/feed/add/", NEW).status_code == 403
    client = login("brokers.set_credentials")
    client.post("/admin/reconciliation/feed/add/", NEW)
    feed = Feed.objects.get()
    assert (feed.name, feed.account, feed.priority) == ("sim-a", "desk", 0)

    changed = {**NEW, "enabled": "", "silence_ms": "900", "late_seconds": "60", "priority": "5"}
    client.post(f"/admin/reconciliation/feed/{feed.pk}/change/", changed)
    feed.refresh_from_db()
    assert (feed.enabled, feed.silence_ms, feed.priority) == (False, 900, 5)
    entry = AuditEntry.objects.get(action="change_feed")
    assert (entry.before["priority"], entry.after["priority"]) == (0, 5)


def test_whoever_may_not_set_credentials_sends_none_anywhere() -> None:
    elsewhere = {**NEW, "account": "live", "data_url": "https://elsewhere.example", "stream_url": ""}
    operator = login("reconciliation.operate_marketdata")
    assert operator.post("/admin/reconciliation/feed/add/", elsewhere).status_code == 403
    login("brokers.set_credentials").post("/admin/reconciliation/feed/add/", NEW)
    feed = Feed.objects.get()

    changed = {**elsewhere, "enabled": "on", "silence_ms": "900", "late_seconds": "60", "priority": "7"}
    assert operator.post(f"/admin/reconciliation/feed/{feed.pk}/change/", changed).status_code == 302
    feed.refresh_from_db()
    assert (feed.account, feed.data_url, feed.stream_url) == ("desk", "", NEW["stream_url"])
    assert feed.priority == 7


@pytest.mark.parametrize(
    "wrong", [{"account": "nobody"}, {"stream_url": "ws://feeds.example/"}, {"data_url": "ftp://x/"}, {"name": ""}]
)
def test_a_feed_that_cannot_work_is_refused(wrong: dict[str, str]) -> None:
    login("brokers.set_credentials").post("/admin/reconciliation/feed/add/", {**NEW, **wrong})
    assert not Feed.objects.exists()


def test_lists_of_market_data_open_and_cannot_be_written() -> None:
    client = Client()
    client.force_login(make_user("reconciliation.view_barseries", "reconciliation.view_gap"))
    assert client.get("/admin/reconciliation/barseries/").status_code == 200
    assert client.get("/admin/reconciliation/gap/").status_code == 200
    assert client.get("/admin/reconciliation/barseries/add/").status_code == 403


def test_an_installation_with_simulated_brokers_delivers_their_market_data(monkeypatch: pytest.MonkeyPatch) -> None:
    for letter in "AB":
        monkeypatch.setenv(f"STANCHION_SIM_{letter}_URL", f"http://127.0.0.1:{ord(letter)}")
    monkeypatch.setenv("STANCHION_SIM_FEEDS", "1")
    for _ in range(2):
        call_command("prepare_installation")

    feeds = {feed.name: feed for feed in Feed.objects.all()}
    assert feeds["sim-a"].priority < feeds["sim-b"].priority
    assert feeds["sim-a"].stream_url == "ws://127.0.0.1:65/v2/iex"
    assert [one.subscriptions.count() for one in feeds.values()] == [3, 3]
    assert set(BarSeries.objects.values_list("symbol", flat=True)) == {"AAPL", "MSFT", "NVDA"}
