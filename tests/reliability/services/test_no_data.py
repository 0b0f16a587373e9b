"""What cannot be evaluated is neither good nor over: its alert stays, and people see that nothing is known."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from reliability.core.errors import ReliabilityError
from reliability.models import Alert, AlertRule, Heartbeat, ServiceSample, TimelineEntry
from reliability.services import alert_conditions, alert_evaluation, watches
from reliability.services.alert_conditions import JUDGES, check_beat, check_lanes
from reliability.services.alert_decisions import resolve_by_person
from reliability.services.alert_evaluation import evaluations_age, hold_what_nobody_watched
from reliability.services.alert_keeper import AlertKeeper, keep_alerts
from reliability.services.alert_rules import ensure_rules
from reliability.services.alerting import Raising, follow_condition, raise_alert, resolve_alert
from reliability.services.metering import meter
from reliability.services.sentinel import Sentinel
from reliability.services.service_level_alerts import evaluate
from reliability.services.service_levels import ensure_levels
from tests.factories import make_job, make_lanes, make_process, make_user
from tests.reliability.api.test_errors import client_of
from tests.reliability.services.test_service_levels import counted
from tests.reliability.views.test_operator_actions import logged_in

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def nothing_noted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    ensure_rules()
    meter.begin_anew()
    monkeypatch.setattr(alert_evaluation, "_failing", {})
    monkeypatch.setattr(alert_evaluation, "_seen", set())
    yield
    meter.begin_anew()


def alert_of(condition: str) -> Alert:
    return Alert.objects.get(condition=condition)


def make_late_lane() -> None:
    make_lanes()
    make_job(lane="alerts", run_at=timezone.now() - timedelta(seconds=61))
    keep_alerts()
    assert alert_of("lane.late").state == "open"


def break_check(monkeypatch: pytest.MonkeyPatch, sql: str = "SELECT 1/0") -> None:
    monkeypatch.setattr(alert_conditions, "_LATE_LANES", sql + " WHERE %s > 0")


def test_a_query_that_fails_leaves_its_alert_open_and_without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    make_late_lane()
    with monkeypatch.context() as broken:
        break_check(broken)
        keep_alerts()
    row = alert_of("lane.late")
    assert (row.state, row.no_data_since is None, row.no_data_reason) == (
        "open", False, "it cannot be evaluated: division by zero"
    )  # fmt: skip
    assert AlertRule.objects.get(condition="lane.late").no_data_since is not None
    assert AlertRule.objects.get(condition="beat.late").no_data_since is None, "the others were evaluated"

    keep_alerts()
    assert alert_of("lane.late").no_data_since is None
    assert AlertRule.objects.get(condition="lane.late").no_data_since is None
    kinds = TimelineEntry.objects.filter(subject_kind="alert", subject_id=row.pk).order_by("id")
    assert list(kinds.values_list("kind", flat=True)) == ["raised", "no_data", "data_again"]


def test_a_hold_down_stands_still_while_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    make_late_lane()
    resolve_alert("lane.late", "lane:alerts", reason="it is empty")
    with monkeypatch.context() as broken:
        break_check(broken)
        keep_alerts()
        Alert.objects.update(
            clears_at=F("clears_at") - timedelta(minutes=5), no_data_since=F("no_data_since") - timedelta(minutes=6)
        )
        keep_alerts()
    assert alert_of("lane.late").state == "open", "its time is over, and nobody could look"

    before = alert_of("lane.late").clears_at
    alert_evaluation.mark_data(["lane.late"])
    after = alert_of("lane.late").clears_at
    assert before is not None
    assert after is not None
    assert after - before >= timedelta(minutes=6)


def test_a_look_that_goes_on_failing_is_told_and_stops_the_outside_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        break_check(broken)
        keep_alerts()
        assert not Alert.objects.filter(condition="watch.late").exists(), "once is not yet worth a page"
        alert_evaluation._failing["check_lanes"] -= 11
        keep_alerts()
    assert alert_of("watch.late").scope == "condition:lane.late"
    assert "cannot be evaluated: division by zero" in alert_of("watch.late").message

    keep_alerts()
    assert alert_of("watch.late").state == "resolved"


def test_an_error_rate_without_calls_is_not_over() -> None:
    ensure_levels()
    counted(NOW - timedelta(hours=1), good=10_000)
    counted(NOW - timedelta(seconds=10), good=500, bad=100)
    counted(NOW, good=1)
    evaluate(NOW)
    assert alert_of("error.rate").state == "open"

    later = NOW + timedelta(minutes=10)
    counted(later)
    evaluate(later)
    row = alert_of("error.rate")
    assert (row.clears_at, row.no_data_reason) == (None, "nothing was called within the window")

    counted(later + timedelta(seconds=10), good=200)
    evaluate(later + timedelta(seconds=10))
    row = alert_of("error.rate")
    assert (row.no_data_since, row.clears_at is None) == (None, False)


def test_samples_that_stop_coming_leave_rates_and_budgets_without_data() -> None:
    ServiceSample.objects.create(service="orders", subject="sim-a", at=timezone.now(), good=1, bad=0)
    raise_alert("error.rate", "broker:sim-a/service:orders", message="x")
    keep_alerts()
    assert alert_of("error.rate").no_data_since is None

    ServiceSample.objects.update(at=timezone.now() - timedelta(seconds=61))
    keep_alerts()
    assert alert_of("error.rate").no_data_reason.startswith("calls were not counted since")


def test_a_scheduler_that_nobody_has_seen_for_a_day_is_not_over() -> None:
    beat = make_process("beat", kind="beat", detail={"leader": True, "ticked_at": time.time() - 31})
    check_beat()
    assert alert_of("beat.late").state == "open"

    Heartbeat.objects.filter(pk=beat.pk).update(beat_at=timezone.now() - timedelta(days=2))
    check_beat()
    assert (alert_of("beat.late").state, alert_of("beat.late").no_data_since is None) == ("open", False)


def test_a_late_evaluator_leaves_everything_it_judges_without_data() -> None:
    make_late_lane()
    sentinel = Sentinel(None)  # type: ignore[arg-type]  # its own pulse plays no part
    sentinel._tell_if_late()
    sentinel._alerts._finished -= 11
    sentinel._tell_if_late()
    assert alert_of("lane.late").no_data_reason.startswith("Alerts were not evaluated for 11")
    marked = set(AlertRule.objects.exclude(no_data_since=None).values_list("condition", flat=True))
    assert marked == {one for conditions in JUDGES.values() for one in conditions}

    sentinel._alerts._finished += 11
    sentinel._tell_if_late()
    assert not AlertRule.objects.exclude(no_data_since=None).exists()
    assert alert_of("lane.late").no_data_since is None


def test_a_new_leader_holds_what_nobody_watched() -> None:
    raise_alert("circuit.opened", "circuit:sim-a:orders", message="x")
    resolve_alert("circuit.opened", "circuit:sim-a:orders", reason="closed")
    Alert.objects.update(clears_at=timezone.now() - timedelta(seconds=1))
    make_process("sentinel", kind="sentinel", detail={"leader": True, "evaluated_at": time.time() - 300})
    assert (evaluations_age() or 0) >= 300

    AlertKeeper()._keep()
    assert alert_of("circuit.opened").state == "open"
    Heartbeat.objects.update(detail={"leader": True, "evaluated_at": time.time()})
    assert hold_what_nobody_watched() == timedelta(0)
    assert evaluations_age() is None


def test_a_watch_that_fails_leaves_its_conditions_without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("no calendar")

    monkeypatch.setattr(watches, "_WATCHES", {broken: ("data.gap",)})
    raise_alert("data.gap", "series:AAPL/1m", message="x")
    watches.look_once()
    assert alert_of("data.gap").no_data_reason == "it cannot be evaluated: no calendar"


def test_a_database_that_is_away_is_no_failing_look(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        break_check(broken)
        broken.setattr(connection, "is_usable", lambda: False)
        with pytest.raises(Exception, match="division by zero"):
            keep_alerts()


def test_a_scope_of_which_nothing_is_known_stays_until_it_is() -> None:
    one = Raising("stream.silent", "account:sim-a", "silent")
    follow_condition("stream.silent", [one], reason="up")
    follow_condition("stream.silent", [], reason="up", unknown={"account:sim-a": "cannot be read", "account:b": "too"})
    row = alert_of("stream.silent")
    assert (row.clears_at, row.no_data_reason) == (None, "cannot be read")
    follow_condition("stream.silent", [one], reason="up")
    assert alert_of("stream.silent").no_data_since is None

    raise_alert("stream.silent", "account:sim-a", message="still")
    follow_condition("stream.silent", [], reason="up", unknown={"account:sim-a": "cannot be read"})
    raise_alert("stream.silent", "account:sim-a", message="still")
    assert alert_of("stream.silent").no_data_since is None, "raised again is known again"


def test_people_see_it_and_may_end_what_nothing_is_known_of() -> None:
    pk = raise_alert("error.rate", "broker:gone/service:orders", message="x")
    with pytest.raises(ReliabilityError):
        resolve_by_person(pk, actor="ann", reason="the broker is gone")
    follow_condition("error.rate", [], reason="x", unknown={"broker:gone/service:orders": "nothing was called"})

    assert "no data" in logged_in("reliability.view_alert").get("/").content.decode()
    facts = client_of(make_user("reliability.view_alert")).get(f"/api/v1/alerts/{pk}").json()
    assert (facts["no_data"], facts["no_data_reason"]) == (True, "nothing was called")
    assert (
        "no data" in logged_in("reliability.view_alert", name="viv").get("/admin/reliability/alert/").content.decode()
    )
    resolve_by_person(pk, actor="ann", reason="the broker is gone")
    assert alert_of("error.rate").state == "resolved"


def test_checks_say_what_they_judge() -> None:
    assert JUDGES[check_lanes] == ("lane.late",)
    assert all(check in JUDGES for check in alert_conditions.CHECKS)
