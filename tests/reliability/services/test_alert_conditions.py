"""What raises alerts by itself, and what ends them."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from reliability.core.breaker import BreakerState
from reliability.core.jobs import Dead, JobError
from reliability.models import Alert, Job
from reliability.services import alert_conditions
from reliability.services.alert_keeper import keep_alerts
from reliability.services.jobs.deadletters import discard_dead_letters, record_dead_message, replay_dead_letters
from reliability.services.jobs.enqueue import NewJob, enqueue_job
from reliability.services.sentinel import Sentinel
from reliability.services.transition_records import TransitionRecorder
from tests.factories import make_job, make_lanes, make_process
from tests.fakes import Deed, run_due
from tests.reliability.services.test_transition_records import make_transition

pytestmark = pytest.mark.django_db


def alert_of(condition: str) -> Alert:
    return Alert.objects.get(condition=condition)


def tell(**values: object) -> None:
    recorder = TransitionRecorder()
    recorder.note(make_transition(**values))
    recorder.write()


def test_jobs_that_die_are_one_alert_until_the_last_is_decided(deed: Deed) -> None:
    deed.settle = {number: [Dead(JobError("SYSTEM_UNEXPECTED", "as planned"))] for number in (1, 2)}
    for number in (1, 2):
        enqueue_job(deed.name, NewJob(payload={"n": number}))
    run_due("default")
    keep_alerts()

    row = alert_of("job.dead_letter")
    assert (row.scope, row.occurrences, row.state) == (f"jobs:{deed.name}", 2, "open")
    first, second = Job.objects.order_by("id")
    discard_dead_letters([first.pk], actor="ann", reason="not wanted")
    assert alert_of("job.dead_letter").state == "open"
    replay_dead_letters([second.pk], actor="ann", reason="mended")
    assert (alert_of("job.dead_letter").state, alert_of("job.dead_letter").resolved_by) == ("resolved", "ann")


def test_a_dead_message_raises_an_alert() -> None:
    record_dead_message("SYSTEM_UNKNOWN_TASK", "no worker knows it", {})

    assert alert_of("job.dead_letter").message == "A job celery.message died: no worker knows it"


def test_an_opened_circuit_raises_an_alert_in_the_transaction_of_its_row() -> None:
    tell(version=1, to_state=BreakerState.OPEN)
    assert (alert_of("circuit.opened").scope, alert_of("circuit.opened").state) == ("circuit:sim-a:orders", "open")

    tell(version=1, to_state=BreakerState.OPEN)
    keep_alerts()
    assert alert_of("circuit.opened").occurrences == 1, "one change told twice is one"

    later = datetime(2026, 11, 24, 3, 1, tzinfo=UTC)
    tell(version=2, from_state=BreakerState.OPEN, to_state=BreakerState.HALF_OPEN, at=later)
    assert alert_of("circuit.opened").clears_at is None
    tell(version=3, from_state=BreakerState.HALF_OPEN, to_state=BreakerState.CLOSED, at=later + timedelta(seconds=1))
    assert alert_of("circuit.opened").clears_at is not None


def test_an_opening_that_is_told_late_does_not_stay() -> None:
    later = datetime(2026, 11, 24, 3, 1, tzinfo=UTC)
    tell(version=2, from_state=BreakerState.OPEN, to_state=BreakerState.CLOSED, at=later)
    tell(version=1, to_state=BreakerState.OPEN)

    keep_alerts()

    assert alert_of("circuit.opened").clears_at is not None


def test_a_circuit_that_is_open_for_one_process_alone_is_not_told() -> None:
    tell(is_local=True)
    assert not Alert.objects.exists()


def test_a_dead_process_is_told_and_over_when_another_of_its_name_lives() -> None:
    make_process("worker orders", beat_at=timezone.now() - timedelta(minutes=1), started_at="2026-11-24T00:00Z")
    Sentinel(None)._bury(trusts=True)  # type: ignore[arg-type]  # its own pulse plays no part
    row = alert_of("process.dead")
    assert (row.scope, row.details["pid"]) == ("process:worker orders", 4711)

    keep_alerts()
    assert alert_of("process.dead").clears_at is None
    make_process("worker orders", started_at=timezone.now())
    keep_alerts()
    assert alert_of("process.dead").clears_at is not None


def test_work_that_waits_too_long_makes_its_lane_late() -> None:
    make_lanes()
    job = make_job(lane="alerts", run_at=timezone.now() - timedelta(seconds=61))
    make_job(lane="orders", run_at=timezone.now() - timedelta(seconds=30))
    keep_alerts()
    assert alert_of("lane.late").scope == "lane:alerts"

    job.delete()
    keep_alerts()
    assert alert_of("lane.late").clears_at is not None


def test_a_scheduler_that_stopped_is_told_until_it_ticks_again() -> None:
    beat = make_process("beat", kind="beat", detail={"leader": True, "ticked_at": time.time() - 31})
    keep_alerts()
    assert alert_of("beat.late").state == "open"

    beat.detail = {"leader": True, "ticked_at": time.time()}
    beat.save()
    keep_alerts()
    assert alert_of("beat.late").state == "resolved"


def test_a_clock_that_runs_wrong_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_alerts()
    assert not Alert.objects.exists()
    monkeypatch.setattr(alert_conditions, "read_thresholds", lambda _: {"drift_seconds": -1.0})
    keep_alerts()
    assert alert_of("clock.drift").scope.startswith("host:")


def test_alerts_that_are_not_evaluated_are_told_by_the_thread_beside() -> None:
    sentinel = Sentinel(None)  # type: ignore[arg-type]  # its own pulse plays no part
    sentinel._tell_if_late()
    sentinel._alerts._finished -= 11
    sentinel._tell_if_late()
    sentinel._tell_if_late()
    assert (alert_of("watch.late").state, alert_of("watch.late").occurrences) == ("open", 1)
    sentinel._alerts._finished += 11
    sentinel._tell_if_late()
    assert alert_of("watch.late").state == "resolved"
