"""The one screen: what stands on it, where its numbers lead, what each person sees of it, and what it costs."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from brokers.core.freezes import FreezeCause, FreezeMode, parse_freeze_scope
from brokers.services.freezes import freeze_trading
from brokers.services.kill_switch import engage
from config import screen
from reconciliation.core.gaps import GapPolicy
from reconciliation.core.slots import Stamping
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import Feed, FeedSubscription, ReconciliationRun, RecoveryRun
from reconciliation.services.market_data.market_hours import read_markets
from reconciliation.services.market_data.series import open_series
from reliability.core.correlation import correlated
from reliability.core.interventions import Choice
from reliability.models import (
    ErrorRollup,
    Incident,
    Intervention,
    ProposedChange,
    Release,
    ServiceSample,
    TimelineEntry,
)
from reliability.services import interventions
from reliability.services.alert_keeper import keep_alerts
from reliability.services.alerting import raise_alert
from reliability.services.interventions import InterventionKind, Question, open_interventions
from reliability.services.service_levels import ensure_levels
from tests.factories import make_account, make_dead_letter, make_lanes, make_order, make_process, make_user

pytestmark = pytest.mark.django_db

HANDLE = ("reliability.view_intervention", "reliability.handle_intervention")


@pytest.fixture(autouse=True)
def question_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = InterventionKind(
        "tests.question", (Choice("wait", "Wait", "-", False),), lambda _: "", "brokers.decide_order"
    )
    monkeypatch.setitem(interventions._KINDS, kind.name, kind)
    ensure_levels()
    make_lanes()


def ask(subject: str, minutes: int = 30, **values: Any) -> Intervention:
    open_interventions("tests.question", [Question(subject, f"What about {subject}?", {}, {})])
    rows = Intervention.objects.filter(subject=subject)
    rows.update(due_at=timezone.now() + timedelta(minutes=minutes, seconds=30), **values)
    return rows.get()


def propose(subject: str, minutes: int) -> ProposedChange:
    now = timezone.now()
    return ProposedChange.objects.create(
        kind="limits", subject=subject, title=f"Change {subject}", content={}, reason="r", proposed_by="ann",
        proposed_at=now, expires_at=now + timedelta(minutes=minutes, seconds=30),
    )  # fmt: skip


def called(subject: str, good: int, bad: int, service: str = "orders") -> None:
    """Calls of the last minute, after a sample of none."""
    now = timezone.now()
    for at, counts in ((now - timedelta(hours=2), (0, 0)), (now - timedelta(seconds=5), (good, bad))):
        ServiceSample.objects.create(service=service, subject=subject, at=at, good=counts[0], bad=counts[1])


def met(category: str, code: str, errors: int, hours: float = 1) -> None:
    minute = (timezone.now() - timedelta(hours=hours)).replace(second=0, microsecond=0)
    ErrorRollup.objects.create(
        minute=minute, source="desk-broker", operation="submit", category=category, code=code, errors=errors
    )


def recovered(account: Any, number: int, state: str) -> None:
    now = timezone.now()
    RecoveryRun.objects.create(
        account=account, generation=number, saga_id=uuid4(), state=state, trigger="stream_returned",
        requested_by="watch", disrupted_at=now - timedelta(seconds=9), started_at=now, finished_at=now,
    )  # fmt: skip


def reconciled(account: Any) -> ReconciliationRun:
    return ReconciliationRun.objects.create(
        account=account, kind="full", trigger="schedule", state="clean", requested_by="ann", finished_at=timezone.now()
    )


def as_(*permissions: str, everything: bool = False) -> Client:
    user = make_user(*permissions)
    if everything:
        user.is_superuser = True
        user.save()
    client = Client()
    client.force_login(user)
    return client


def text_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def row_of(page: str, identifier: str) -> str:
    found = re.search(rf'<tr id="{identifier}">.*?</tr>', page, re.DOTALL)
    assert found, f"no row {identifier}"
    return text_of(found[0])


def fill(number: int) -> None:
    """Have ``number`` of everything that the screen has a place for."""
    person = make_user()
    for _ in range(number):
        mark = uuid4().hex[:8]
        account = make_account(f"desk{mark}")
        make_order(account, person, state="accepted")
        make_order(account, person, state="filled", finished_at=timezone.now())
        make_dead_letter(correlation_id=mark)
        make_process()
        called(account.broker.name, 100, 1)
        recovered(account, 1, "recovered")
        reconciled(account)
        met("network", f"NETWORK_{mark}", 3)
        ask(f"account:{mark}")
        propose(mark, 30)
        Release.objects.create(name=mark)
        with correlated(mark):
            raise_alert("stream.silent", f"account:desk{mark}", message="silent")
    keep_alerts()


def test_the_top_bar_says_where_one_is_what_time_it_is_and_whether_trading_goes_on(settings: Any) -> None:
    settings.INSTANCE = "paper-7"
    client = as_("brokers.view_order")

    def bar() -> str:
        page = client.get("/").content.decode()
        live = client.get("/live").content.decode()
        shown = text_of(page[page.index('<header class="topbar">') : page.index("</header>")])
        assert re.search(r"data-says=\"([^\"]*)\"", live)[1] in shown, "the refreshing part says the same"  # type: ignore[index]
        return shown

    make_account()
    assert re.search(r"paper-7 Time in UTC: \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ Read .* Kill switch off ", bar())
    freeze_trading(parse_freeze_scope("account:desk"), FreezeMode.HALT, FreezeCause.PERSON, reason="r", by="ann")
    assert "Kill switch off; frozen in part" in bar()
    boss = make_user("brokers.engage_kill_switch", name="boss")
    engage("broker:desk-broker", actor=boss.get_username(), reason="odd fills")
    assert "Kill switch on" in bar()


def test_nobody_is_told_that_trading_goes_on_who_may_not_see_what_stops_it() -> None:
    assert "Kill switch" not in text_of(as_("reliability.view_job").get("/").content.decode())


def test_numbers_say_when_nothing_was_counted_for_long() -> None:
    make_account()
    called("desk-broker", 100, 1)
    client = as_(everything=True)
    ServiceSample.objects.update(at=F("at") + timedelta(minutes=5))
    assert "Calls were last counted" not in client.get("/live").content.decode()
    ServiceSample.objects.update(at=F("at") - timedelta(minutes=9))
    assert re.search(
        r"no data Calls were last counted [4-6] min \d+ s ago", text_of(client.get("/live").content.decode())
    )


def test_the_figures_are_those_of_the_rows() -> None:
    account, now = make_account(), timezone.now()
    for seconds, severity in ((30, 1), (60, 2)):
        began = now - timedelta(minutes=10)
        Incident.objects.create(
            domain="broker", subject=f"s{seconds}", title="t", severity=severity, detected_at=began,
            state="acknowledged", acknowledged_at=began + timedelta(seconds=seconds), acknowledged_by="ann",
        )  # fmt: skip
    Incident.objects.create(
        domain="broker", subject="over", title="t", severity=2, detected_at=now - timedelta(seconds=150),
        state="resolved", resolved_at=now,
    )  # fmt: skip
    for number, state in enumerate(("recovered", "recovered", "recovered", "failed")):
        recovered(account, number, state)
    called("desk-broker", 9_990, 10)
    ask("account:a", created_at=now - timedelta(minutes=12, seconds=30))
    ask("account:b")

    page = as_(everything=True).get("/").content.decode()
    figures = text_of(page[page.index('aria-label="How it goes"') : page.index('aria-label="At a glance"')])
    assert "Incidents 2 1 critical , 1 high" in figures
    assert re.search(r"MTTA / MTTR, 30 days 30 s / 2 min 30 s median; 90 % within 1 min 0 s / 2 min 30 s", figures)
    assert "Recovery success, 30 days 75 % 3 of 4 without a person, 1 failed; 0 under way" in figures
    assert "Error budget left 80 % desk-broker orders; worst burn 0.2 in 1h" in figures
    assert re.search(r"Oldest decision 1[23] min \d+ s 2 to take , next due in (29|30) min", figures)
    assert 'href="/incidents?state=unresolved&amp;severity=critical"' in page


def test_the_grid_has_of_each_broker_all_that_tells_whether_it_works() -> None:
    account, person, now = make_account(), make_user(), timezone.now()
    make_account("other")
    make_order(account, person, state="accepted")
    make_order(account, person, state="accepted", accepted_at=now - timedelta(minutes=3, seconds=2))
    make_order(account, person, state="working")
    called("desk-broker", 1_185, 15)
    called("desk-broker", 50, 50, service="order_streams")
    run = reconciled(account)
    type(account.streamsession).objects.filter(account=account).update(state="down")
    client = as_(everything=True)

    page = client.get("/").content.decode()

    row = row_of(page, "broker-desk-broker")
    assert re.match(
        r"desk-broker no calls yet 1\.25 % of 1200 2\.5 2 oldest [34] min \d+ s ● clean .+ ago desk ■ closed", row
    ), row
    assert f'href="/reconciliation/runs/{run.pk}"' in page
    assert re.match(r"other-broker no calls yet no calls — 0 never other ● open", row_of(page, "broker-other-broker"))
    assert page.index('id="broker-desk-broker"') < page.index('id="broker-other-broker"'), "what is wrong comes first"
    bare = as_("brokers.view_order").get("/").content.decode()
    assert re.match(r"desk-broker 2 oldest [34] min \d+ s desk ■ closed", row_of(bare, "broker-desk-broker"))


def test_the_grid_says_whether_the_markets_of_a_broker_trade(monkeypatch: pytest.MonkeyPatch) -> None:
    account = make_account()
    for name, calendar in (("BTC/USD", "24/7"), ("AAPL", "XNAS"), ("MSFT", "XNAS")):
        feed, _ = Feed.objects.get_or_create(name="desk-feed", account=account.name)
        series = open_series(name, Timeframe.MINUTE, calendar, GapPolicy.EVERY_SLOT, Stamping())
        FeedSubscription.objects.create(feed=feed, series=series)
    saturday = datetime(2026, 11, 28, 12, tzinfo=UTC)
    monkeypatch.setattr(screen, "read_markets", lambda now: read_markets(saturday))

    row = row_of(as_(everything=True).get("/").content.decode(), "broker-desk-broker")

    assert re.search(r"desk ● open 24/7 trades XNAS is closed for \S", row), row
    assert "XNAS" not in row_of(as_("brokers.view_order").get("/").content.decode(), "broker-desk-broker")


def test_what_waits_for_a_person_is_sorted_by_when_it_is_due_and_handled_there() -> None:
    late, soon, change = ask("account:late", 40), ask("account:soon", 5), propose("limits", 20)
    client = as_(*HANDLE, "brokers.decide_order", "reliability.view_proposedchange")

    page = client.get("/").content.decode()
    order = re.findall(r'<tr id="((?:intervention|change)-\d+)"', page)
    assert order == [f"intervention-{soon.pk}", f"change-{change.pk}", f"intervention-{late.pk}"]
    assert f'action="/interventions/{soon.pk}/claim"' in page
    assert f'formaction="/interventions/{soon.pk}/acknowledge"' in page

    client.post(f"/interventions/{soon.pk}/acknowledge")
    client.post(f"/interventions/{soon.pk}/claim")
    page = client.get("/").content.decode()
    assert f'formaction="/interventions/{soon.pk}/acknowledge"' not in page
    other = as_(*HANDLE, "brokers.decide_order").get("/").content.decode()
    assert f'action="/interventions/{soon.pk}/claim"' not in other, "somebody has it"
    assert f'action="/interventions/{late.pk}/claim"' in other
    assert 'class="press"' not in as_(*HANDLE).get("/").content.decode(), "without the right that the question wants"


def test_errors_are_drawn_by_the_hour_with_releases_and_incidents_marked() -> None:
    met("network", "NETWORK_CONNECT_REFUSED", 30, hours=2)
    met("network", "NETWORK_CONNECTION_LOST", 12, hours=20)
    met("broker", "BROKER_UNAVAILABLE", 7)
    met("data", "DATA_STALE", 99, hours=25)
    Release.objects.create(name="v7.1", started_at=timezone.now() - timedelta(hours=3))
    Release.objects.create(name="v6.0", started_at=timezone.now() - timedelta(days=2))
    raise_alert("stream.silent", "account:a", message="silent")
    keep_alerts()
    number = Incident.objects.get().number

    page = as_(everything=True).get("/").content.decode()

    assert row_of(page, "errors-network").startswith("network 42 ")
    assert "at most 30 in an hour" in row_of(page, "errors-network")
    assert "errors-data" not in page, "longer ago than a day"
    assert page.index('id="errors-network"') < page.index('id="errors-broker"')
    chart = page[page.index('id="errors-network"') : page.index('id="errors-broker"')]
    assert chart.count("<rect") == 2
    assert "<title>release v7.1</title>" in chart
    assert f"<title>incident {number}</title>" in chart
    assert "release v6.0" not in chart
    assert 'href="/runbooks/error:NETWORK_CONNECT_REFUSED"' in page

    unknown = as_("reliability.view_errorgroup").get("/").content.decode()
    assert number not in unknown, "who may not see incidents sees no marks of them"


def test_the_burn_down_is_of_the_worst_budget_and_has_the_same_marks() -> None:
    called("calm", 10_000, 1)
    called("burnt", 900, 100)
    Release.objects.create(name="v7.1", started_at=timezone.now() - timedelta(days=3))
    raise_alert("stream.silent", "account:a", message="silent")
    keep_alerts()
    Incident.objects.update(severity=2, detected_at=timezone.now() - timedelta(days=2))

    for address in ("/", "/service-levels"):
        page = as_(everything=True).get(address).content.decode()
        chart = re.search(r'<svg class="budget".*?</svg>', page, re.DOTALL)
        assert chart, address
        assert 'aria-label="Budget of burnt orders left over 30 days' in chart[0]
        assert "<title>release v7.1</title>" in chart[0]
        assert f"<title>incident {Incident.objects.get().number}</title>" in chart[0]
    assert "the worst of 2" in text_of(as_(everything=True).get("/").content.decode())


def test_the_timeline_shows_the_newest_of_what_one_may_see_with_its_trace() -> None:
    with correlated("trace-of-the-stream"):
        raise_alert("stream.silent", "account:a", message="silent")
    keep_alerts()
    question = ask("account:b")

    page = as_(everything=True).get("/").content.decode()
    entries = page[page.index('id="latest"') :]
    newest = TimelineEntry.objects.latest("id")
    assert entries.index(f'id="entry-{newest.pk}"') < entries.index(
        f'id="entry-{TimelineEntry.objects.earliest("id").pk}"'
    )
    assert 'href="/admin/reliability/errorevent/?q=trace-of-the-stream"' in entries

    only = as_("reliability.view_intervention").get("/").content.decode()
    only = only[only.index('id="latest"') :]
    assert f'href="/interventions/{question.pk}"' in only
    assert "/admin/reliability/alert/" not in only


def test_every_link_of_the_screen_leads_somewhere() -> None:
    fill(2)
    met("network", "NETWORK_CONNECT_REFUSED", 30)
    client = as_(everything=True)

    page = client.get("/").content.decode()

    anchors = set(re.findall(r'href="#([^"]+)"', page))
    assert {name for name in anchors if f'id="{name}"' not in page} == set()
    links = {unescape(link) for link in re.findall(r'href="(/[^"]*)"', page) if not link.startswith("/static/")}
    assert len(links) > 40
    broken = {link: status for link in sorted(links) if (status := client.get(link).status_code) != 200}
    assert broken == {}


def test_the_screen_asks_the_same_questions_however_much_of_everything_there_is() -> None:
    client = as_(everything=True)

    def questions() -> tuple[int, str]:
        with CaptureQueriesContext(connection) as asked:
            page = client.get("/live").content.decode()
        return len(asked), page

    fill(2)
    questions()  # what is asked once in the life of a process
    few, _ = questions()
    fill(20)
    many, page = questions()

    assert many == few
    assert many <= 70, "one or two for each panel"
    assert len(re.findall(r'<tr id="(?:intervention|change)-', page)) == 12
    assert page.count('<li id="entry-') == 20
    assert "Shown: 12 of 44, soonest due first" in text_of(page)
