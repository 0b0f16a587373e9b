"""People are told in order, until somebody answers; each message once, by channels that may fail."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import apprise
import pytest
from django.utils import timezone

from reliability.conf import ReliabilityConf, get_conf
from reliability.core.taxonomy import ErrorSeverity
from reliability.models import (
    Alert,
    Delivery,
    DeliveryAttempt,
    Escalation,
    EscalationPolicy,
    Incident,
    Recipient,
    Rota,
    RotaShift,
)
from reliability.selectors.alerts import list_timeline
from reliability.services import channels, heartbeat_job
from reliability.services.alert_keeper import keep_alerts
from reliability.services.alerting import end_alerts, raise_alert
from reliability.services.delivery import send_test
from reliability.services.escalation import run_due_escalations
from reliability.services.incident_decisions import acknowledge_incident
from reliability.services.jobs.enqueue import NewJob, enqueue_job
from reliability.services.recipients import save_recipient
from reliability.services.silences import add_silence
from tests.fakes import make_due, run_due
from tests.receivers import MailServer, Webhook, mail_server, webhook
from tests.reliability.services.test_error_groups import meet

pytestmark = pytest.mark.django_db

apprise.Apprise().add("json://127.0.0.1/")  # reads all its plugins, which takes longer than a transaction may idle
SILENT = ("stream.silent", "account:sim-a")


@pytest.fixture(autouse=True)
def private_channels(monkeypatch: Any) -> None:
    """The receivers of these tests are on this machine."""
    conf = ReliabilityConf(private_channels=True, encryption_keys=get_conf().encryption_keys)
    monkeypatch.setattr(channels, "get_conf", lambda: conf)


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as running:
        yield running


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with mail_server() as running:
        yield running


def person(name: str, address: str = "json://127.0.0.1:9/", **values: Any) -> Recipient:
    return save_recipient(name, address, actor="admin", **values)


def policy(*people: str, wait: int = 60, **values: Any) -> EscalationPolicy:
    steps = [{"wait_seconds": 0 if place == 0 else wait, "people": [name]} for place, name in enumerate(people)]
    return EscalationPolicy.objects.create(**{"name": "desk", "steps": steps, "rounds": 1, **values})


def happen(severity: Any = None) -> Incident:
    raise_alert(*SILENT, message="it is silent", severity=severity)
    keep_alerts()
    return Incident.objects.latest("id")


def go_on() -> None:
    """Let the next step be due, and carry it out."""
    Escalation.objects.filter(next_step_at__isnull=False).update(next_step_at=timezone.now())
    run_due_escalations()


def told() -> list[tuple[str, str]]:
    return list(Delivery.objects.order_by("id").values_list("recipient__name", "reason"))


def test_the_steps_are_gone_through_until_nobody_is_left():
    for name in ("ann", "bob"):
        person(name)
    policy("ann", "bob")
    incident = happen()
    assert told() == [], "ten seconds are given for what belongs to it"

    go_on()
    go_on()
    assert told() == [("ann", "first"), ("bob", "escalated")]
    assert Escalation.objects.get().state == "exhausted"
    alert = Alert.objects.get(condition="escalation.exhausted")
    acknowledge_incident(incident.pk, actor="ann")
    alert.refresh_from_db()
    assert alert.state == "resolved"


def test_a_critical_incident_waits_for_nothing():
    person("ann")
    policy("ann")
    raise_alert("order.overfill", "order:1", message="too much")
    keep_alerts()
    assert told() == [("ann", "first")]


def test_what_was_promised_stays_when_the_policy_changes():
    for name in ("ann", "bob"):
        person(name)
    row = policy("ann")
    happen()
    EscalationPolicy.objects.filter(pk=row.pk).update(steps=[{"people": ["bob"]}], is_enabled=False)
    go_on()
    assert told() == [("ann", "first")]


def test_the_first_policy_that_fits_is_taken():
    for name in ("ann", "bob", "eve"):
        person(name)
    policy("ann", name="data", domains="data, trading", place=1)
    policy("bob", name="critical", least_severity=1, place=2)
    policy("eve", name="all", place=3)
    happen()
    go_on()
    assert told() == [("eve", "first")]


def test_who_is_on_call_is_told_in_order():
    ann, bob, eve = (person(name) for name in ("ann", "bob", "eve"))
    rota = Rota.objects.create(name="desk")
    yesterday = str((timezone.now().weekday() + 3) % 7)
    RotaShift.objects.create(rota=rota, recipient=ann, place=2)
    RotaShift.objects.create(rota=rota, recipient=bob, place=1)
    RotaShift.objects.create(rota=rota, recipient=eve, place=3, weekdays=yesterday)
    policy(steps=[{"rotas": ["desk"], "people": ["ann"]}])
    happen()
    go_on()
    assert {name for name, _ in told()} == {"ann", "bob"}


def test_acknowledging_stops_the_paging_and_is_taken_back_when_nobody_answers():
    person("ann", username="ann")
    person("bob")
    policy("bob", "bob")
    incident = happen()
    go_on()
    acknowledge_incident(incident.pk, actor="ann")
    keep_alerts()
    assert told() == [("bob", "first")]

    go_on()
    assert told()[-1] == ("ann", "reminder")
    acknowledge_incident(incident.pk, actor="ann")
    go_on()
    go_on()
    incident.refresh_from_db()
    assert (incident.state, told()[-1]) == ("open", ("bob", "unacknowledged"))
    assert "unacknowledged" in [entry["kind"] for entry in list_timeline("incident", incident.pk)]


def test_a_step_that_is_due_when_it_ends_tells_nobody():
    person("ann")
    policy("ann")
    happen()
    end_alerts([SILENT], by="", reason="up")
    keep_alerts()
    go_on()
    assert told() == []


def test_whoever_was_told_hears_that_it_is_over():
    person("ann")
    policy("ann")
    happen()
    go_on()
    end_alerts([SILENT], by="", reason="up")
    keep_alerts()
    keep_alerts()
    assert told() == [("ann", "first"), ("ann", "resolved")]
    assert Escalation.objects.get().state == "over"


def test_further_alerts_are_told_after_five_minutes():
    person("ann")
    policy("ann")
    happen()
    go_on()
    raise_alert("circuit.opened", "circuit:sim-a:orders", message="opened")
    keep_alerts()
    assert len(told()) == 1
    Escalation.objects.update(told_at=timezone.now() - timedelta(minutes=6))
    keep_alerts()
    keep_alerts()
    assert told()[1:] == [("ann", "new_alerts")]


def test_what_is_silenced_is_not_told_until_the_silence_is_over():
    person("ann")
    policy("ann")
    silence = add_silence(condition="stream.silent", scope="", duration=timedelta(hours=1), actor="x", reason="x")
    happen()
    go_on()
    assert told() == []
    type(silence).objects.update(ends_at=timezone.now())
    keep_alerts()
    go_on()
    assert told() == [("ann", "first")]


def test_ten_thousand_errors_of_a_kind_are_at_most_three_messages():
    person("ann")
    policy("ann", rounds=2)
    for _ in range(10):
        meet(1_000, severity=ErrorSeverity.HIGH)
        keep_alerts()
    go_on()
    go_on()
    keep_alerts()
    assert (Alert.objects.filter(condition="error.new_group").count(), Incident.objects.count()) == (1, 1)
    assert told()[:2] == [("ann", "first"), ("ann", "escalated")]
    assert len(told()) <= 3, "on a slow machine the first step falls due by itself, and one more is carried out"


def test_two_who_look_at_once_tell_once():
    person("ann")
    policy("ann", "ann")
    happen()
    Escalation.objects.update(next_step_at=timezone.now())
    assert (run_due_escalations(), run_due_escalations()) == (1, 0)
    assert len(told()) == 1


def test_a_webhook_that_answers_500_and_then_200_gets_it_once_more(hook: Webhook):
    hook.answers = [500]
    person("ann", hook.address)
    policy("ann")
    happen()
    go_on()
    run_due("alerts")
    assert Delivery.objects.get().state == "waiting"
    make_due(kind="alerts.deliver")
    run_due("alerts")

    assert [got["status"] for got in hook.got] == [500, 200]
    assert hook.got[1]["title"].startswith("[high] INC-")
    assert "stream.silent account:sim-a: it is silent" in hook.got[1]["message"]
    assert Delivery.objects.get().state == "sent"
    assert list(DeliveryAttempt.objects.values_list("attempt", "outcome", "status")) == [
        (1, "retried", 500),
        (2, "sent", None),
    ]


def test_a_channel_that_refuses_is_not_asked_again_and_the_fallback_is_told(hook: Webhook, mail: MailServer):
    hook.answers = [404]
    second = person("ann by mail", mail.address)
    person("ann", hook.address, fallback=second)
    policy("ann")
    happen()
    go_on()
    run_due("alerts")
    run_due("alerts")

    assert list(Delivery.objects.order_by("id").values_list("recipient__name", "state")) == [
        ("ann", "failed"),
        ("ann by mail", "sent"),
    ]
    assert "is silent" in mail.mails[0]
    assert Alert.objects.get(condition="delivery.failing").scope == "channel:ann"
    send_test(Recipient.objects.get(name="ann"), actor="admin")
    run_due("alerts")
    assert Alert.objects.get(condition="delivery.failing").state == "resolved"


def test_a_redirect_is_not_followed(hook: Webhook):
    hook.answers = [302]
    send_test(person("ann", hook.address), actor="admin")
    run_due("alerts")
    assert len(hook.got) == 1
    assert DeliveryAttempt.objects.get().outcome == "retried"


def test_a_host_on_a_private_network_is_refused_unless_allowed(hook: Webhook, monkeypatch: Any):
    monkeypatch.setattr(channels, "get_conf", lambda: ReliabilityConf())
    send_test(person("ann", hook.address), actor="admin")
    run_due("alerts")
    assert hook.got == []
    assert "private network" in DeliveryAttempt.objects.get().message


def test_somebody_outside_hears_that_all_is_well_and_nothing_when_it_is_not(monkeypatch: Any):
    asked: list[str] = []
    conf = ReliabilityConf(heartbeat_url="http://watch.example/x")
    monkeypatch.setattr(heartbeat_job, "get_conf", lambda: conf)
    monkeypatch.setattr(heartbeat_job, "_ask", lambda address: asked.append(address) or "")

    for _ in range(2):
        enqueue_job("alerts.heartbeat", NewJob(unique_key="beat"))
        run_due("alerts")
        raise_alert("delivery.failing", "channel:ann", message="x")

    assert asked == ["http://watch.example/x"]
