"""Jobs that wait for a circuit are called back when it lets calls through: most urgent first, and not all at once."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from reliability.core.breaker import BreakerState, CircuitState, Counts, PinnedState
from reliability.models import Job
from reliability.services.circuits import Transition
from reliability.services.jobs.enqueue import NewJob, enqueue_jobs
from reliability.services.jobs.recall import FIRST, Recaller, recall_jobs
from tests.fakes import Deed

pytestmark = pytest.mark.django_db

CIRCUIT = "sim-a:orders"


@pytest.fixture
def waiting(deed: Deed) -> Iterator[None]:
    """A hundred jobs that wait half a minute for the circuit, and some that do not."""
    enqueue_jobs(deed.name, [NewJob(payload={"n": number}) for number in range(110)])
    jobs = list(Job.objects.order_by("id"))
    later = timezone.now() + timedelta(seconds=30)
    Job.objects.filter(pk__lte=jobs[99].pk).update(waits_for=CIRCUIT, run_at=later)
    Job.objects.filter(pk__gt=jobs[99].pk).update(waits_for="sim-b:orders", run_at=later)
    Job.objects.filter(pk=jobs[60].pk).update(priority=10)
    return


def waits() -> dict[int, float]:
    """Return how long each job still waits, by its number."""
    now = timezone.now()
    return {job.payload["n"]: (job.run_at - now).total_seconds() for job in Job.objects.all()}


def transition(to: CircuitState) -> Transition:
    return Transition(
        CIRCUIT, "g", 1, BreakerState.OPEN, to, "test", "", Counts(), datetime.now(UTC), "another process", False
    )


def test_waiting_jobs_come_back_in_turn(waiting: None) -> None:
    assert recall_jobs(CIRCUIT, per_second=50) == 100

    found = waits()
    called = sorted(found[number] for number in range(100))
    assert found[60] == called[0], "the most urgent one comes first"
    assert called[-1] - called[0] == pytest.approx(99 / 50, abs=0.5)
    assert all(found[number] > called[-1] + 20 for number in range(100, 110)), "others wait for something else"
    assert len({round(wait, 2) for wait in called}) > 80


def test_nothing_comes_later_than_it_would_have(waiting: None) -> None:
    soon = timezone.now() + timedelta(seconds=20)
    Job.objects.filter(waits_for=CIRCUIT).update(run_at=soon)
    recall_jobs(CIRCUIT, per_second=1)
    assert max(Job.objects.filter(waits_for__in=["", CIRCUIT]).values_list("run_at", flat=True)) <= soon


@pytest.mark.parametrize("state", [BreakerState.CLOSED, PinnedState.DISABLED, PinnedState.METRICS_ONLY])
def test_a_circuit_that_lets_calls_through_calls_all_back(waiting: None, state: CircuitState) -> None:
    recaller = Recaller()
    recaller.hear(transition(state))
    recaller.call()
    assert sum(wait < 5 for wait in waits().values()) == 100


def test_probes_need_a_few_jobs_only(waiting: None) -> None:
    recaller = Recaller()
    recaller.hear(transition(BreakerState.HALF_OPEN))
    recaller.call()
    assert sum(wait < 5 for wait in waits().values()) == FIRST


@pytest.mark.parametrize("state", [BreakerState.OPEN, PinnedState.FORCED_OPEN])
def test_a_circuit_that_refuses_calls_nobody_back(waiting: None, state: CircuitState) -> None:
    recaller = Recaller()
    recaller.hear(transition(state))
    recaller.call()
    assert min(waits().values()) > 25


def test_a_job_that_began_to_wait_a_moment_too_late_is_called_by_the_second_call(
    waiting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    recaller = Recaller()
    recaller.hear(transition(BreakerState.CLOSED))
    recaller.call()
    Job.objects.filter(waits_for=CIRCUIT).update(run_at=timezone.now() + timedelta(seconds=30))
    recaller.call()
    assert min(waits().values()) > 25, "the second call is not due yet"
    later = time.monotonic() + 10
    monkeypatch.setattr("reliability.services.jobs.recall.time.monotonic", lambda: later)
    recaller.call()
    assert sum(wait < 5 for wait in waits().values()) == 100
