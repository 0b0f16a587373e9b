"""A stretch of the past is asked for: what is missing becomes gaps, and what nobody can have is refused clearly."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from reconciliation.models import Feed, FeedSubscription, Gap
from reliability.models import AuditEntry, Job
from tests.factories import make_lanes, make_user
from tests.reconciliation.services.market_data.making import series_called
from tests.reliability.api.test_errors import client_of, require_error

pytestmark = pytest.mark.django_db
MONDAY = datetime(2024, 7, 8, 13, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def feed() -> Feed:
    make_lanes()
    made = Feed.objects.create(name="sim-a", account="sim-a")
    FeedSubscription.objects.create(feed=made, series=series_called("S"))
    return made


def ask(start: datetime, end: datetime, **changes: object):
    body = {"symbol": "S", "timeframe": "1Min", "start": start.isoformat(), "end": end.isoformat(), **changes}
    client = client_of(make_user("reconciliation.operate_marketdata"))
    return client.post("/api/v1/backfills", body, content_type="application/json")


def test_what_is_missing_is_recorded_and_asked_for_once():
    for new in (1, 0):
        answer = ask(MONDAY, MONDAY + timedelta(minutes=9))
        assert (answer.status_code, answer.json()["missing"], answer.json()["new_gaps"]) == (202, 10, new)
    gap = Gap.objects.get()
    assert (gap.started_at, gap.missing) == (MONDAY, 10)
    assert Job.objects.get(kind="market_data.backfill").payload == {"gap": gap.pk}
    assert AuditEntry.objects.filter(action="market_data.backfill").count() == 2


def test_closed_time_lacks_nothing():
    assert ask(MONDAY - timedelta(hours=9), MONDAY - timedelta(hours=8)).json()["missing"] == 0


def refusals() -> dict[str, tuple[datetime, datetime]]:
    now = timezone.now()
    return {
        "is in the future": (MONDAY, now + timedelta(minutes=1)),
        "The stretch is backwards": (MONDAY, MONDAY - timedelta(seconds=1)),
        "the history begins at 2020-01-01 00:00:00 UTC": (datetime(2019, 12, 31, tzinfo=UTC), MONDAY),
        "ask for at most 530000 at once": (datetime(2020, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)),
    }


@pytest.mark.parametrize("why", list(refusals()))
def test_a_stretch_that_nobody_can_have_is_refused_with_the_reason(feed, why):
    Feed.objects.update(history_from=datetime(2020, 1, 1, tzinfo=UTC))
    start, end = refusals()[why]
    document = require_error(ask(start, end), 422, "VALIDATION_INVALID_REQUEST")
    assert why in document["error"]["message"]
    with pytest.raises(CommandError, match=why):
        call_command("gaps", "fill", symbol="S", timeframe="1Min", start=start, end=end)
    assert not Gap.objects.exists()


def test_a_series_that_nobody_delivers_is_refused(feed):
    assert "no series X 1Min" in ask(MONDAY, MONDAY, symbol="X").json()["error"]["message"]
    Feed.objects.update(enabled=False)
    assert "No enabled feed" in ask(MONDAY, MONDAY).json()["error"]["message"]


@pytest.mark.parametrize(("days", "why"), [(1, "in the future"), (-9000, "the history begins")])
def test_a_subscription_cannot_begin_where_there_are_no_bars(feed, days, why):
    Feed.objects.update(history_from=datetime(2020, 1, 1, tzinfo=UTC))
    options = {"symbol": "N", "timeframe": "1Min", "calendar": "24/7", "since": timezone.now() + timedelta(days=days)}
    with pytest.raises(CommandError, match=why):
        call_command("feeds", "subscribe", "sim-a", **options)
