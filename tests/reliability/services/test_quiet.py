"""Nobody is told of what is quiet, whatever asks for a message; the rows stay, with the reason."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from brokers.models import Account
from brokers.services.accounts import forget_accounts
from reliability.models import Alert, Delivery, Escalation, Incident, Job
from reliability.services import servers_away
from reliability.services.alert_conditions import check_lanes
from reliability.services.alert_rules import RuleValues, change_rule
from reliability.services.alerting import end_alerts, raise_alert
from reliability.services.drill_incidents import begin_drill_incident, end_drill_incident
from reliability.services.escalation import run_due_escalations, tell_of_new_alerts
from reliability.services.incident_decisions import acknowledge_incident
from reliability.services.incidents import follow_alerts
from reliability.services.quiet import quiet_reason
from reliability.services.servers_away import check_redis, tell_away
from reliability.services.silences import add_silence, mark_silenced
from tests.factories import make_account, make_user
from tests.fakes import run_due
from tests.reliability.api.test_errors import client_of
from tests.reliability.services.test_escalation import go_on, person, policy, told

pytestmark = pytest.mark.django_db

SILENT = ("stream.silent", "account:sim-a")


@pytest.fixture(autouse=True)
def somebody_is_told() -> None:
    person("ann")
    policy("ann")


def known_account(name: str, **values: Any) -> Account:
    account = make_account(name, **values)
    forget_accounts()
    return account


def silence(condition: str = "stream.silent") -> None:
    add_silence(condition=condition, scope="", duration=timedelta(hours=1), actor="bob", reason="known")


def settle() -> None:
    """Do what the alert keeper does after its looks: these alerts are not of the looks' making."""
    mark_silenced()
    follow_alerts()
    run_due_escalations()
    tell_of_new_alerts()


def happen(condition: str = "stream.silent", scope: str = "account:sim-a") -> Alert:
    pk = raise_alert(condition, scope, message="x")
    settle()
    return Alert.objects.get(pk=pk)


def reason_of(alert: Alert) -> str:
    alert.refresh_from_db()
    return quiet_reason(alert)


def let_minutes_pass(minutes: int = 6) -> None:
    Escalation.objects.update(told_at=timezone.now() - timedelta(minutes=minutes))


def test_a_silenced_alert_delivers_nothing_from_beginning_to_end() -> None:
    silence()
    alert = happen()
    for _ in range(3):
        go_on()
    assert reason_of(alert).startswith("silenced by silence")
    acknowledge_incident(Incident.objects.get().pk, actor="ann")
    go_on()
    go_on()
    assert Incident.objects.get().state == "acknowledged", "a reminder that was not sent is not unanswered"
    end_alerts([SILENT], by="", reason="up")
    settle()
    assert (told(), Incident.objects.get().state) == ([], "resolved")


def test_a_silence_that_comes_later_withholds_reminders_news_the_end_and_what_waits() -> None:
    happen()
    go_on()
    assert told() == [("ann", "first")]
    silence()
    let_minutes_pass()
    happen("slo.burn_rate", "broker:sim-a/service:orders")
    silence("slo.burn_rate")
    let_minutes_pass()
    settle()
    run_due("alerts")
    assert Delivery.objects.get().state == "withheld"
    assert not Job.objects.filter(kind="alerts.deliver", state__in=("ready", "running")).exists()
    end_alerts([SILENT, ("slo.burn_rate", "broker:sim-a/service:orders")], by="", reason="up")
    settle()
    assert told() == [("ann", "first")]


def test_news_of_an_incident_name_only_what_is_told() -> None:
    happen()
    go_on()
    silence("error.rate")
    happen("error.rate", "broker:sim-a/service:orders")
    let_minutes_pass()
    settle()
    assert told() == [("ann", "first")]

    happen("slo.burn_rate", "broker:sim-a/service:orders")
    let_minutes_pass()
    settle()
    assert told()[1:] == [("ann", "new_alerts")]
    assert "error.rate" not in Delivery.objects.latest("id").body


def test_what_another_alert_explains_delivers_nothing() -> None:
    circuit = happen("circuit.opened", "circuit:sim-a:orders")
    rate = happen("error.rate", "broker:sim-a/service:orders")
    assert rate.incident_id == circuit.incident_id
    assert reason_of(rate) == f"explained by alert {circuit.pk}"
    go_on()
    assert "error.rate" not in Delivery.objects.get().body


def test_what_comes_and_goes_is_told_again_only_once_it_stays() -> None:
    for _ in range(3):
        happen()
        end_alerts([SILENT], by="", reason="up")
        settle()
    assert told() == []
    alert = happen()
    for _ in range(3):
        go_on()
    assert (alert.flaps, told()) == (3, [])
    assert reason_of(alert) == "it comes and goes: it came back 3 times"

    Alert.objects.filter(pk=alert.pk).update(flapped_at=timezone.now() - timedelta(minutes=11))
    go_on()
    assert told() == [("ann", "first")]


def test_what_is_critical_or_always_told_is_told_however_often_it_comes_back() -> None:
    for _ in range(4):
        alert = happen("trading.frozen", "account:sim-a")
        end_alerts([("trading.frozen", "account:sim-a")], by="", reason="lifted")
        settle()
    assert alert.flaps == 3
    assert reason_of(alert) == ""


def test_a_condition_that_is_not_told_says_so() -> None:
    change_rule("stream.silent", RuleValues(None, None, False, {}), actor="bob")
    assert reason_of(happen()) == "its condition is not told"
    go_on()
    assert told() == []


def test_what_a_drill_makes_is_told_to_nobody_and_what_it_should_not_make_is() -> None:
    known_account("sim-a")
    before = happen("feed.silent", "feed:other")
    drill = begin_drill_incident("sim-a", "Drill on sim-a")
    stream, frozen = happen(), happen("trading.frozen", "account:sim-a")
    assert [reason_of(one) for one in (stream, frozen, before)] == ["made by a drill", "made by a drill", ""]
    happen("reconciliation.discrepancy", "account:sim-a")
    assert told() == [("ann", "first")], "a difference is real, whenever it is found"
    assert "discrepancy" in Delivery.objects.get().body

    end_drill_incident(drill, passed=True, verdict="fine")
    settle()
    assert reason_of(stream) == "made by a drill", "what it made may take a while to end"
    Incident.objects.filter(pk=drill).update(closed_at=timezone.now() - timedelta(minutes=6))
    settle()
    assert reason_of(stream) == ""
    facts = client_of(make_user("reliability.view_alert")).get(f"/api/v1/alerts/{frozen.pk}").json()
    assert (facts["quiet_because"], facts["drill"]) == ("", None)


# -- failure domains ------------------------------------------------------------------------


def incidents() -> list[tuple[str, str, int]]:
    rows = Incident.objects.order_by("id")
    return [(row.domain, row.subject, row.alerts.count()) for row in rows]


def test_all_that_a_broker_fails_by_is_one_incident_and_two_brokers_are_two() -> None:
    for name in ("desk", "other"):
        known_account(name)
        raise_alert("circuit.opened", f"circuit:{name}-broker:orders", message="open")
        raise_alert("stream.silent", f"account:{name}", message="silent")
        raise_alert("order.unknown_aged", f"order:{name}", message="unknown", details={"account": name})
        raise_alert("error.rate", f"broker:{name}-broker/service:orders", message="many")
        raise_alert("slo.burn_rate", f"broker:{name}-broker/service:orders", message="fast")
    settle()
    assert incidents() == [("broker", "desk-broker", 5), ("broker", "other-broker", 5)]


def test_two_accounts_of_one_broker_fail_together() -> None:
    first = known_account("desk")
    known_account("desk-2", broker=first.broker)
    happen(scope="account:desk")
    happen(scope="account:desk-2")
    assert incidents() == [("broker", "desk-broker", 2)]


def test_a_failed_recovery_is_explained_by_its_brokers_circuit() -> None:
    known_account("desk")
    circuit = happen("circuit.opened", "circuit:desk-broker:orders")
    assert happen("recovery.failed", "account:desk").inhibited_by_id == circuit.pk


def test_a_database_that_was_away_is_one_incident_and_explains_what_follows() -> None:
    tell_away("database.away", "platform:database", "PostgreSQL", 1.0)
    assert not Alert.objects.exists(), "a moment is not told"
    tell_away("database.away", "platform:database", "PostgreSQL", 12.0)
    settle()
    cause = Alert.objects.get(condition="database.away")
    assert (cause.message, cause.clears_at is None) == ("PostgreSQL did not answer for 12.0 seconds.", False)

    for condition, scope in (
        ("stream.silent", "account:sim-a"),
        ("process.dead", "process:w"),
        ("lane.late", "lane:o"),
    ):
        assert happen(condition, scope).inhibited_by_id == cause.pk
    assert incidents() == [("platform", "database", 4)]
    kept = happen("order.unknown_aged", "order:1")
    assert kept.inhibited_by_id is None, "what is always told is told"
    assert incidents()[1:] == [("broker", "1", 1)]


def test_a_redis_that_does_not_answer_is_told_until_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = ["refused"]
    monkeypatch.setattr(servers_away, "_redis_away_since", [0.0])
    monkeypatch.setattr(servers_away, "_ping", lambda _: problem[0])
    check_redis()
    assert not Alert.objects.exists(), "a moment is not told"
    servers_away._redis_away_since[0] -= 3
    check_redis()
    row = Alert.objects.get(condition="redis.away")
    assert (row.scope, row.message, row.clears_at) == ("platform:redis", "Redis does not answer: refused", None)
    problem[0] = ""
    check_redis()
    row.refresh_from_db()
    assert row.clears_at is not None


def test_the_test_server_answers() -> None:
    check_redis()
    check_lanes()
    assert not Alert.objects.exists()
