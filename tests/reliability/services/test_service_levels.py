"""Calls become samples, samples become budgets and alerts; windows are exact, whatever was thinned."""

from datetime import UTC, datetime, timedelta

import pytest

from reliability.core.burn_rate import Counts
from reliability.core.classification import Operation, RawFailure
from reliability.models import Alert, AuditEntry, ServiceLevel, ServiceSample
from reliability.selectors.service_levels import SampledService, counts_of
from reliability.services import service_levels
from reliability.services.classification import preview
from reliability.services.guarding.outcomes import CallOutcome, CallResult
from reliability.services.metering import meter
from reliability.services.service_level_alerts import evaluate
from reliability.services.service_levels import (
    Slice,
    budget_line,
    ensure_levels,
    list_states,
    note_service_call,
    sample,
    thin,
)
from tests.factories import make_user
from tests.reliability.api.test_errors import client_of, require_error

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ORDERS = SampledService("orders", "sim-a")
FIVE = timedelta(minutes=5)


@pytest.fixture(autouse=True)
def own_counts(monkeypatch):
    meter.begin_anew()
    monkeypatch.setattr(service_levels, "_watchers", [])
    ensure_levels()
    yield
    meter.begin_anew()


def call(code: str = "", number: int = 1, result: CallResult = CallResult.FAILED) -> None:
    error = None
    if code:
        error = preview(RawFailure("alpaca_rest", Operation.SUBMIT, code, "{}"))
    how = result if code else CallResult.SUCCEEDED
    outcome = CallOutcome("sim-a", "sim-a:orders", "submit", how, error.code if error else "", 1, 0.1, "", error)
    for _ in range(number):
        note_service_call(outcome)


def counted(at: datetime, good: int = 0, bad: int = 0) -> None:
    meter.count(service_levels.SERVED, "sim-a", "orders", "good", by=good)
    meter.count(service_levels.SERVED, "sim-a", "orders", "bad", by=bad)
    meter.write()
    sample(at)


def test_a_refusal_is_good_a_broken_broker_bad_and_what_was_not_begun_neither():
    call(number=3)
    call("403/40310000")  # insufficient buying power: an answer
    call("503/-")
    call("503/-", result=CallResult.REFUSED)
    call("401/-")  # our own credentials say nothing about the broker
    meter.write()
    sample(NOW)

    row = ServiceSample.objects.get()
    assert (row.service, row.subject, row.good, row.bad) == ("orders", "sim-a", 4, 1)


def test_windows_count_what_came_within_them():
    counted(NOW - timedelta(hours=2), good=1000, bad=50)
    counted(NOW - timedelta(minutes=6), good=100, bad=1)
    counted(NOW - timedelta(minutes=4), good=30, bad=2)
    counted(NOW, good=5)

    found = counts_of(ORDERS, [FIVE, timedelta(hours=1), timedelta(days=30)], NOW)
    assert found[FIVE] == Counts(35, 2)
    assert found[timedelta(hours=1)] == Counts(135, 3)
    assert found[timedelta(days=30)] == Counts(1135, 53)


def test_thinned_samples_leave_the_windows_that_alerts_use_as_they_were():
    for minutes in range(480, 0, -10):
        counted(NOW - timedelta(minutes=minutes), good=10)
    windows = [FIVE, timedelta(hours=1), timedelta(hours=6)]
    before = counts_of(ORDERS, windows, NOW)
    for second in range(20):
        at = NOW - timedelta(hours=3, seconds=30 + second)
        ServiceSample.objects.create(service="other", subject="sim-a", at=at, good=number_of(second), bad=0)

    assert thin(NOW) == 19
    assert ServiceSample.objects.get(service="other").good == number_of(0), "the latest of a minute stays"
    assert counts_of(ORDERS, windows, NOW) == before


def number_of(seconds_ago: int) -> int:
    return 100 - seconds_ago


def test_one_error_in_twenty_calls_stays_silent():
    """Also when it is seen again and again; the same share of many calls does not."""
    counted(NOW - timedelta(hours=1), good=10_000)
    counted(NOW, good=19, bad=1)
    for _ in range(3):
        evaluate(NOW)
    assert not Alert.objects.exists()

    later = NOW + timedelta(seconds=20)
    counted(NOW + timedelta(seconds=10), good=171, bad=9)
    counted(later, good=1)
    evaluate(later)
    assert Alert.objects.filter(condition="error.rate", scope="broker:sim-a/service:orders").exists()


def test_a_high_error_rate_alerts_once_and_ends_when_it_is_calm_not_when_it_is_just_below():
    counted(NOW - timedelta(hours=1), good=100_000)
    counted(NOW - timedelta(seconds=20), good=980, bad=20)
    counted(NOW - timedelta(seconds=10), good=1)
    evaluate(NOW)
    evaluate(NOW)

    alert = Alert.objects.get(condition="error.rate")
    assert (alert.scope, alert.occurrences, alert.clears_at) == ("broker:sim-a/service:orders", 1, None)
    assert "20 of 1001 calls failed" in alert.message
    counted(NOW, good=1500)  # 20 of 2501: below the limit, and not calm
    evaluate(NOW)
    assert Alert.objects.get(condition="error.rate").clears_at is None
    counted(NOW + timedelta(seconds=10), good=5000)
    evaluate(NOW + timedelta(seconds=10))
    assert Alert.objects.get(condition="error.rate").clears_at is not None


def test_an_error_rate_seen_at_one_look_alone_alerts_nobody():
    counted(NOW - timedelta(hours=1), good=100_000)
    counted(NOW, good=900, bad=100)
    evaluate(NOW)

    assert not Alert.objects.filter(condition="error.rate").exists()


def test_a_burning_budget_alerts_with_what_is_left():
    counted(NOW - timedelta(days=10), good=1_000_000, bad=1000)
    counted(NOW - timedelta(minutes=4), good=800, bad=200)
    counted(NOW, good=1)
    evaluate(NOW)

    alert = Alert.objects.get(condition="slo.burn_rate")
    assert (alert.severity_name, alert.scope) == ("critical", "broker:sim-a/service:orders")
    assert "200 of 1001" in alert.message
    assert alert.details["is_burning"] is True


def test_a_connection_is_counted_by_looks(monkeypatch):
    state = {"up": True}
    monkeypatch.setattr(service_levels, "_watchers", [lambda: [Slice("order_streams", "sim-a", state["up"])]])
    for number in range(10):
        state["up"] = number != 4
        sample(NOW + timedelta(seconds=10 * number))

    found = counts_of(SampledService("order_streams", "sim-a"), [FIVE], NOW + timedelta(seconds=90))
    assert found[FIVE] == Counts(9, 1)


def test_the_history_of_a_budget_goes_down_with_failures():
    counted(NOW - timedelta(days=20), good=10_000)
    counted(NOW - timedelta(days=5), good=1, bad=25)
    ServiceLevel.objects.update(target_percent="99.5")
    (state,) = list_states(NOW)

    line = [left for _, left in budget_line(state, points=31, now=NOW)]
    assert (line[0], line[10]) == (1.0, 1.0)
    assert line[-1] == pytest.approx(state.budget_left)
    assert line[-1] == pytest.approx(1 - (25 / 10_026) / 0.005)


def test_the_page_the_api_and_the_admin_show_and_change_them(client):
    counted(NOW, good=990, bad=10)
    person = make_user("reliability.view_servicelevel", "reliability.change_servicelevel", name="night")
    answer = client_of(person).get("/api/v1/service-levels").json()
    require_error(client_of(make_user(name="nobody")).get("/api/v1/service-levels"), 403, "AUTH_PERMISSION_DENIED")

    (one,) = answer["results"]
    assert (one["service"], one["subject"], one["bad"], one["target_percent"]) == ("orders", "sim-a", 10, "99.5000")
    person.is_staff = True
    person.save()
    client.force_login(person)
    page = client.get("/service-levels").content.decode()
    assert "10 of 1000" in page
    assert "<svg" in page
    changed = client.post(
        "/admin/reliability/servicelevel/orders/change/", {"target_percent": "99.9", "is_alerting": "on"}
    )
    assert changed.status_code == 302
    assert AuditEntry.objects.get(action="service_level_changed").after["target_percent"] == "99.9"
