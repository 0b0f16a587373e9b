"""Dead letters: a person decides, nothing is dropped, everything has a name under it."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from reliability.core.errors import ReliabilityError
from reliability.core.jobs import Dead, JobError
from reliability.models import AuditEntry, Job, JobAttempt
from reliability.selectors.jobs import list_dead_letters
from reliability.services.jobs.deadletters import (
    MOST_AT_ONCE,
    discard_dead_letters,
    record_dead_message,
    replay_dead_letters,
)
from reliability.services.jobs.enqueue import NewJob, enqueue_job
from tests.factories import make_dead_letter
from tests.fakes import Deed, run_due

pytestmark = pytest.mark.django_db


def make_dead(deed: Deed, number: int = 1, **values: Any) -> Job:
    deed.settle = {**deed.settle, number: [Dead(JobError("SYSTEM_UNEXPECTED", "as planned"))]}
    enqueue_job(deed.name, NewJob(payload={"n": number}, **values))
    run_due("default")
    return Job.objects.get(payload__n=number)


def test_a_replayed_job_runs_with_fresh_attempts_and_a_trace_of_who_asked(deed: Deed) -> None:
    job = make_dead(deed, deadline_at=timezone.now() + timedelta(hours=1))

    assert replay_dead_letters([job.pk], actor="anna", reason="mended") == 1
    job.refresh_from_db()
    assert (job.state, job.attempt, job.crashes, job.finished_at, job.deadline_at) == ("ready", 0, 0, None, None)
    run_due("default")
    job.refresh_from_db()
    assert job.state == "succeeded"
    replayed = JobAttempt.objects.get(outcome="replayed")
    assert (replayed.actor, replayed.error_message, replayed.error_code) == ("anna", "mended", "SYSTEM_UNEXPECTED")
    audit = AuditEntry.objects.get()
    assert (audit.actor, audit.action, audit.subject) == ("anna", "replay_dead_letter", f"job:{job.pk}")


def test_a_discarded_job_tells_its_kind_and_keeps_the_reason(deed: Deed) -> None:
    job = make_dead(deed)

    assert discard_dead_letters([job.pk], actor="anna", reason="obsolete") == 1
    job.refresh_from_db()
    assert (job.state, deed.discarded) == ("discarded", [(job.pk, "anna", "obsolete")])
    assert AuditEntry.objects.get().reason == "obsolete"


def test_many_at_once(deed: Deed) -> None:
    jobs = [make_dead(deed, number) for number in range(1, 6)]
    assert replay_dead_letters([job.pk for job in jobs], actor="anna", reason="mended") == 5
    assert AuditEntry.objects.count() == 5


@pytest.mark.parametrize("act", [replay_dead_letters, discard_dead_letters])
def test_only_what_is_dead_now_is_touched(deed: Deed, act: Any) -> None:
    dead = make_dead(deed)
    enqueue_job(deed.name, NewJob(payload={"n": 9}))
    ready = Job.objects.get(payload__n=9)

    assert act([dead.pk, ready.pk, 10**9], actor="anna", reason="x") == 1
    with pytest.raises(ReliabilityError) as caught:
        act([dead.pk], actor="anna", reason="x")
    assert caught.value.code == "VALIDATION_WRONG_STATE"


@pytest.mark.parametrize("reason", ["", "   "])
def test_discarding_needs_a_reason(deed: Deed, reason: str) -> None:
    job = make_dead(deed)
    with pytest.raises(ReliabilityError):
        discard_dead_letters([job.pk], actor="anna", reason=reason)
    job.refresh_from_db()
    assert job.state == "dead"


@pytest.mark.parametrize("act", [replay_dead_letters, discard_dead_letters])
def test_there_is_a_limit_to_what_one_person_decides_at_once(act: Any) -> None:
    with pytest.raises(ReliabilityError):
        act(range(MOST_AT_ONCE + 1), actor="anna", reason="x")


def test_work_that_is_under_way_again_is_not_replayed_beside_it(deed: Deed) -> None:
    job = make_dead(deed, unique_key="once")
    other = make_dead(deed, 2)
    enqueue_job(deed.name, NewJob(unique_key="once"))

    with pytest.raises(ReliabilityError) as caught:
        replay_dead_letters([job.pk, other.pk], actor="anna", reason="x")
    assert caught.value.code == "VALIDATION_WRONG_STATE"
    assert Job.objects.filter(state="dead").count() == 2, "all or nothing"
    assert not AuditEntry.objects.exists()


def test_a_job_of_a_kind_that_is_gone_can_still_be_discarded() -> None:
    job = make_dead_letter(kind="tests.of_the_last_release")
    discard_dead_letters([job.pk], actor="anna", reason="that kind is gone")
    job.refresh_from_db()
    assert job.state == "discarded"


def test_a_page_goes_on_after_the_last_one_seen() -> None:
    made = [make_dead_letter() for _ in range(5)]
    first = list_dead_letters(limit=2)
    rest = list_dead_letters(limit=10, after_id=first[-1].pk)
    assert [job.pk for job in [*first, *rest]] == [job.pk for job in reversed(made)]


@pytest.mark.parametrize(
    "text",
    ["plain", "nul \x00 byte", "lone \ud800 surrogate", "long " * 1000],
    ids=["plain", "nul", "surrogate", "long"],
)
def test_a_message_is_kept_whatever_is_in_it(text: str) -> None:
    record_dead_message("SYSTEM_UNKNOWN_TASK", text, {"task": text, "kwargs": {text[:20]: [text, 1, None]}})

    job = Job.objects.get()
    assert (job.state, job.error_code, job.kind) == ("dead", "SYSTEM_UNKNOWN_TASK", "celery.message")
    assert job.payload["kwargs"]
