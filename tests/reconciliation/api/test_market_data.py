"""Bars and gaps over HTTP, and the stream beside it."""

import json
import random
from datetime import UTC, datetime

import pytest
import redis
from django.test import Client
from django.urls import reverse

from reconciliation.core.timeframes import Timeframe
from reconciliation.models import Gap, ReleaseCursor
from reconciliation.services.market_data import announcing
from reconciliation.services.market_data.announcing import STREAM, announce_released
from reconciliation.services.market_data.calendars import calendar_between
from reconciliation.services.market_data.intake import Origin, Source, take_deliveries
from reconciliation.services.market_data.partitions import forget_partitions
from tests.factories import make_user
from tests.reconciliation.market import scaled, walk
from tests.reconciliation.services.market_data.making import series_called
from tests.reliability.api.test_errors import client_of

pytestmark = pytest.mark.django_db
SOURCE = Source("sim-a", Origin.STREAM, late_seconds=7_200)
BARS = walk(random.Random(1), 40)


@pytest.fixture(autouse=True, scope="module")
def calendar_at_hand() -> None:
    reverse("operations")
    calendar_between("XNAS", BARS[0].stamp, BARS[0].stamp)


@pytest.fixture
def client() -> Client:
    forget_partitions()
    return client_of(make_user("reconciliation.view_bar", "reconciliation.view_gap"))


def take(deliveries) -> None:
    moment = datetime.fromtimestamp(max(one.stamp() for one in deliveries) + 61, UTC)
    take_deliveries(SOURCE, Timeframe.MINUTE, deliveries, now=moment)


def test_released_bars_are_read_on_by_a_cursor_each_once(client):
    series_called("S")
    take([bar.delivery("S") for bar in BARS[:30]])
    first = client.get("/api/v1/bars?since=0&limit=20").json()
    take([bar.delivery("S") for bar in BARS[30:35]])
    rest = client.get(f"/api/v1/bars?since={first['next_since']}").json()

    bars = [*first["results"], *rest["results"]]
    assert [bar["timestamp"] for bar in bars] == sorted({bar["timestamp"] for bar in bars})
    assert len(bars) == 35
    assert (bars[0]["open"], bars[0]["quality"], bars[0]["source"]) == ("100", "live", "sim-a")
    assert client.get(f"/api/v1/bars?since={rest['next_since']}").json() == {
        "results": [],
        "next_since": rest["next_since"],
    }


def test_bars_are_read_by_time_and_questionable_ones_only_when_asked_for(client):
    series_called("S")
    take([bar.delivery("S") for bar in BARS[:35]])
    take([BARS[35].delivery("S", **scaled(BARS[35], 10))])
    query = "symbol=S&timeframe=1Min&start=2024-07-08T14:00:00Z&end=2024-07-08T15:00:00Z"

    usable = client.get(f"/api/v1/bars?{query}").json()["results"]
    assert [bar["timestamp"] for bar in usable] == [f"2024-07-08T14:0{minute}:00Z" for minute in range(5)]
    (held,) = client.get(f"/api/v1/bars?{query}&quality=questionable").json()["results"]
    assert (held["quality"], held["faults"]) == ("questionable", ["extreme"])


def test_gaps_are_listed(client):
    series_called("S")
    take([bar.delivery("S") for bar in (*BARS[:5], *BARS[8:12])])

    (gap,) = client.get("/api/v1/gaps?symbol=S&state=found").json()["results"]
    assert (gap["missing"], gap["start"], gap["cause"]) == (3, "2024-07-08T13:35:00Z", "missing")
    assert client.get("/api/v1/gaps?state=filled").json()["results"] == []


@pytest.mark.parametrize("query", ["", "symbol=S", "since=x", "since=0&quality=questionable", "since=-1"])
def test_questions_without_sense_are_refused(client, query):
    assert client.get(f"/api/v1/bars?{query}").status_code == 422


def test_who_may_not_see_bars_sees_none():
    client = client_of(make_user())

    assert client.get("/api/v1/bars?since=0").status_code == 403
    assert client.get("/api/v1/gaps").status_code == 403


def test_the_stream_carries_each_release_once_and_in_order_through_a_crash(client):
    store: redis.Redis = announcing._client()
    store.delete(STREAM)
    series_called("S")
    take([bar.delivery("S") for bar in BARS[:10]])
    assert announce_released() == 10
    ReleaseCursor.objects.update(seq=0)  # sent, and not noted
    take([bar.delivery("S") for bar in BARS[10:12]])
    assert announce_released() == 2
    assert announce_released() == 0

    sent = [json.loads(entry["bar"])["timestamp"] for _, entry in store.xrange(STREAM)]
    assert sent == [datetime.fromtimestamp(bar.stamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for bar in BARS[:12]]
    store.delete(STREAM)
    assert announce_released() == 0
    assert not Gap.objects.exists()
