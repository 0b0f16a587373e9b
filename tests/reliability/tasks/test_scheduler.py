"""Beat: of any number of processes one ticks, and what is due becomes a row."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from config.celery import app
from reliability.models import Job
from reliability.services.pulse import BEAT_SLOT, Slot
from reliability.tasks.scheduler import ENQUEUE_JOB, StandbyScheduler
from tests.fakes import Deed

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def due_task(deed: Deed) -> PeriodicTask:
    every = IntervalSchedule.objects.create(every=10, period=IntervalSchedule.SECONDS)
    return PeriodicTask.objects.create(
        name="deed",
        task=ENQUEUE_JOB,
        interval=every,
        kwargs=json.dumps({"kind": deed.name, "payload": {"n": 7}, "unique_key": "deed"}),
        last_run_at=timezone.now() - timedelta(minutes=1),
    )


def scheduler() -> StandbyScheduler:
    made = StandbyScheduler(app=app, lazy=True)
    made.setup_schedule()
    return made


@pytest.fixture
def pair() -> Iterator[tuple[StandbyScheduler, StandbyScheduler]]:
    both = scheduler(), scheduler()
    yield both
    for one in both:
        one._slot.leave()
        one._finalize.cancel()  # nothing is written when the process of the tests ends


def tick(one: StandbyScheduler, times: int = 4) -> None:
    """Tick as beat does: the first tick after taking over reads the schedule anew."""
    for _ in range(times):
        one.tick()


def test_only_one_of_two_ticks(due_task: PeriodicTask, pair: tuple[StandbyScheduler, StandbyScheduler]) -> None:
    first, second = pair
    for _ in range(4):
        first.tick()
        second.tick()

    job = Job.objects.get(kind="tests.deed")
    assert (job.state, job.payload, job.unique_key) == ("ready", {"n": 7}, "deed")


def test_the_other_takes_over(due_task: PeriodicTask, pair: tuple[StandbyScheduler, StandbyScheduler]) -> None:
    first, second = pair
    tick(first, 1)
    first._slot.leave()
    assert second._slot.hold()
    Job.objects.all().update(state="succeeded")
    PeriodicTask.objects.update(last_run_at=timezone.now() - timedelta(minutes=1))
    tick(second)
    assert Job.objects.filter(kind="tests.deed", state="ready").count() == 1


def test_nobody_ticks_while_somebody_else_leads(
    due_task: PeriodicTask, pair: tuple[StandbyScheduler, StandbyScheduler]
) -> None:
    elsewhere = Slot(BEAT_SLOT, "beat elsewhere")
    assert elsewhere.hold()
    try:
        for one in pair:
            tick(one)
        assert not Job.objects.exists()
    finally:
        elsewhere.leave()


def test_a_schedule_that_comes_round_before_the_work_is_done_adds_nothing(
    due_task: PeriodicTask, pair: tuple[StandbyScheduler, StandbyScheduler]
) -> None:
    first, _ = pair
    for _ in range(3):
        PeriodicTask.objects.update(last_run_at=timezone.now() - timedelta(minutes=1))
        first._initial_read, first._heap = True, None
        tick(first)
    assert Job.objects.filter(kind="tests.deed").count() == 1
