"""Escalation that stands still is found by a job apart from it, and said by ways that need no message."""

import logging
from datetime import timedelta

import pytest
from django.utils import timezone

from reliability.conf import ReliabilityConf
from reliability.models import Alert, Delivery, Escalation, Incident, Recipient, Rota, RotaShift
from reliability.services import heartbeat_job
from reliability.services.alerting import raise_alert
from reliability.services.escalation import run_due_escalations
from reliability.services.escalation_audit import AUDIT_KIND, audit_escalation, find_problems
from reliability.services.incidents import follow_alerts
from reliability.services.jobs.enqueue import NewJob, enqueue_job
from reliability.services.silences import add_silence, mark_silenced
from tests.fakes import run_due
from tests.reliability.services.test_escalation import person, policy

pytestmark = pytest.mark.django_db


def happen() -> Incident:
    """Let something happen while nothing escalates."""
    raise_alert("stream.silent", "account:sim-a", message="it is silent")
    mark_silenced()
    follow_alerts()
    return Incident.objects.latest("id")


def kinds() -> list[str]:
    return [one.kind for one in find_problems()]


def make_overdue(seconds: int = 61) -> None:
    Escalation.objects.update(next_step_at=timezone.now() - timedelta(seconds=seconds))


def test_escalation_that_stopped_is_said_in_the_log_as_an_alert_and_by_silence_outside(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []
    conf = ReliabilityConf(heartbeat_url="http://watch.example/x")
    monkeypatch.setattr(heartbeat_job, "get_conf", lambda: conf)
    monkeypatch.setattr(heartbeat_job, "_ask", lambda address: asked.append(address) or "")
    person("ann")
    policy("ann")
    incident = happen()
    assert kinds() == []
    make_overdue()

    enqueue_job("alerts.heartbeat", NewJob(unique_key="beat"))
    run_due("alerts")
    assert asked == [], "not fed, although nothing was audited yet"
    with caplog.at_level(logging.CRITICAL):
        enqueue_job(AUDIT_KIND, NewJob(unique_key="audit"))
        run_due("alerts")
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    alert = Alert.objects.get(condition="escalation.stuck")
    assert (alert.scope, alert.severity_name) == ("escalation:overdue", "critical")
    assert alert.message.startswith(f"{incident.number}: the next step was due at")
    follow_alerts()
    assert Incident.objects.count() == 1, "it makes no incident that would be escalated in turn"

    run_due_escalations()
    Escalation.objects.update(next_step_at=timezone.now() + timedelta(hours=1))
    audit_escalation()
    alert.refresh_from_db()
    assert alert.state == "resolved"
    enqueue_job("alerts.heartbeat", NewJob(unique_key="beat"))
    run_due("alerts")
    assert len(asked) == 1


def test_an_open_incident_that_nobody_escalates_is_found_unless_it_is_quiet() -> None:
    incident = happen()
    Incident.objects.update(changed_at=timezone.now() - timedelta(minutes=2))
    assert kinds() == [], "no policy, nobody to tell"
    person("ann")
    policy("ann")
    assert kinds() == ["untold"]
    assert incident.title in find_problems()[0].text
    add_silence(condition="stream.silent", scope="", duration=timedelta(hours=1), actor="bob", reason="known")
    mark_silenced()
    assert kinds() == []


def test_messages_that_wait_for_too_long_or_fail_for_everybody_are_found() -> None:
    ann, bob = person("ann"), person("bob")
    policy("ann")
    incident = happen()

    def deliver(to: Recipient, state: str) -> Delivery:
        number = Delivery.objects.count()
        facts = {"reason": "first", "key": str(number), "title": "x", "body": "x", "severity": 2, "state": state}
        return Delivery.objects.create(incident=incident, recipient=to, **facts)

    waiting = deliver(ann, "waiting")
    Delivery.objects.filter(pk=waiting.pk).update(created_at=timezone.now() - timedelta(seconds=301))
    assert kinds() == ["undelivered"]
    waiting.delete()

    deliver(ann, "failed")
    second = deliver(bob, "failed")
    assert kinds() == ["failed"]
    Delivery.objects.filter(pk=second.pk).update(state="sent")
    assert kinds() == []


def test_a_step_that_reaches_nobody_now_is_found() -> None:
    ann = person("ann")
    rota = Rota.objects.create(name="desk")
    another_day = str((timezone.now() + timedelta(days=3)).weekday())
    shift = RotaShift.objects.create(rota=rota, recipient=ann, weekdays=another_day)
    row = policy("ann")
    row.steps = [{"wait_seconds": 0, "rotas": ["desk"]}, {"wait_seconds": 60, "people": ["ann"]}]
    row.save()
    assert [one.text for one in find_problems()] == [
        "Step 1 of policy desk reaches nobody now: nobody is on call in desk."
    ]
    RotaShift.objects.filter(pk=shift.pk).update(weekdays="0123456")
    assert kinds() == []
    Recipient.objects.update(is_enabled=False)
    assert kinds() == ["nobody", "nobody"]
    assert find_problems()[1].text.endswith("ann cannot be told.")
