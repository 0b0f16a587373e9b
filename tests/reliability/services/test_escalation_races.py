"""Acknowledging races with the end of what is acknowledged, over two connections; a process dies within a step."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection, connections
from django.utils import timezone

from reliability.core.errors import ReliabilityError
from reliability.models import Delivery, Escalation, Incident, Job
from reliability.selectors.alerts import list_timeline
from reliability.services.alert_keeper import keep_alerts
from reliability.services.alerting import end_alerts, raise_alert
from reliability.services.escalation import run_due_escalations
from reliability.services.incident_decisions import acknowledge_incident
from tests.reliability.services.test_escalation import SILENT, go_on, person, policy, private_channels, told

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["private_channels"]

ROUNDS = 12


def in_turn(*acts: Callable[[], None]) -> list[BaseException]:
    """Do all at once, each in a thread with a connection of its own; returns what was raised."""
    barrier, raised = threading.Barrier(len(acts)), []

    def work(act: Callable[[], None]) -> None:
        try:
            barrier.wait()
            act()
        except ReliabilityError as error:
            raised.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_acknowledging_and_resolving_at_once_leave_one_true_story(committed: None) -> None:
    person("ann")
    policy("ann", "ann")
    outcomes = []
    for number in range(ROUNDS):
        scope = f"account:race-{number}"
        raise_alert(SILENT[0], scope, message="it is silent")
        keep_alerts()
        incident = Incident.objects.latest("id")
        go_on()

        def resolve(scope: str = scope) -> None:
            end_alerts([(SILENT[0], scope)], by="", reason="up again")
            keep_alerts()

        refused = in_turn(lambda pk=incident.pk: acknowledge_incident(pk, actor="ann"), resolve)
        keep_alerts()

        incident.refresh_from_db()
        story = list_timeline("incident", incident.pk)
        moves = [(one["from_state"], one["to_state"]) for one in story if one["from_state"] != one["to_state"]]
        assert incident.state == "resolved"
        assert [before for before, _ in moves[1:]] == [after for _, after in moves[:-1]], moves
        assert (incident.acknowledged_at is None) == bool(refused), "whoever was told that it is theirs is on record"
        escalation = Escalation.objects.get(incident=incident)
        assert (escalation.state, escalation.next_step_at) == ("over", None)
        reasons = list(Delivery.objects.filter(incident_id=incident.pk).order_by("id").values_list("reason", flat=True))
        assert reasons == ["first", "resolved"], "nobody is paged about what is over, and each is told once"
        outcomes.append(bool(refused))
    assert len(outcomes) == ROUNDS


_DIES_WITHIN = """
import django, sys, time
django.setup()
from reliability.services import escalation
whole = escalation.record_timeline
def stop(entries):
    whole(entries)
    print("within", flush=True)
    time.sleep(600)
escalation.record_timeline = stop
escalation.run_due_escalations()
"""


def test_a_step_whose_process_is_killed_is_taken_once_by_the_next(committed: None) -> None:
    """Killed after its messages were written and before it was committed: none of it happened, and the next does it."""
    person("ann")
    policy("ann", "ann", wait=60)
    raise_alert(*SILENT, message="it is silent")
    keep_alerts()
    Escalation.objects.update(next_step_at=timezone.now())
    before = Escalation.objects.values("fence", "step").get()
    child = subprocess.Popen([sys.executable, "-c", _DIES_WITHIN], env=_environment(), stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"within\n"
        assert run_due_escalations() == 0, "it is that process's while it lives"
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    _wait_for_its_session()
    assert told() == []

    assert run_due_escalations() == 1
    assert told() == [("ann", "first")]
    assert Escalation.objects.values("fence", "step").get() == {"fence": before["fence"] + 1, "step": 1}
    assert Job.objects.filter(kind="alerts.deliver").count() == 1


def _environment() -> dict[str, str]:
    one: dict[str, Any] = connection.settings_dict
    login = f"{quote(one['USER'], safe='')}:{quote(one['PASSWORD'], safe='')}"
    url = f"postgresql://{login}@{one['HOST']}:{one['PORT']}/{one['NAME']}"
    return {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "config.settings"}


def _wait_for_its_session() -> None:
    """PostgreSQL notices the death at its own pace, and frees the row then."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM reliability_incident FOR UPDATE")
