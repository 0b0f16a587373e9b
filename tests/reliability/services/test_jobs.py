"""The life of a job in the table: claimed once, fenced, retried, handed on, buried, and never lost."""

import errno
import os
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from reliability.core.jobs import (
    SUSPICIONS,
    ClaimedJob,
    Dead,
    JobError,
    JobTimeoutError,
    NotStartedError,
    Performed,
    Retry,
    Snooze,
    Wait,
    suspicion_of,
)
from reliability.models import AuditEntry, Job, JobAttempt, Lane
from reliability.services.jobs.enqueue import NewJob, enqueue_job, enqueue_jobs
from reliability.services.jobs.execution import apply_outcomes, claim_and_prepare
from reliability.services.jobs.kinds import UnknownKindError
from reliability.services.jobs.rescue import find_due_lanes, rescue_lost_jobs
from reliability.services.jobs.table import claim_jobs, has_suspects, renew_leases
from reliability.services.lanes import pause_lane, resume_lane
from reliability.services.pulse import Pulse
from tests.fakes import Deed, make_due, perform_calls, run_due

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("deed")]

KIND = "tests.deed"
ERROR = JobError("NETWORK_CONNECT_REFUSED", "as planned")


def enqueue(*numbers: int, **values: Any) -> None:
    enqueue_jobs(KIND, [NewJob(payload={"n": number}) for number in numbers], **values)


def numbers(jobs: Sequence[ClaimedJob]) -> list[int]:
    return [job.payload["n"] for job in jobs]


def only_job() -> Job:
    return Job.objects.get()


def outcomes_of(job: Job) -> list[str]:
    return list(JobAttempt.objects.filter(job=job).order_by("id").values_list("outcome", flat=True))


def run_until_settled() -> None:
    for _ in range(20):
        make_due()
        if not run_due("default"):
            return
    raise AssertionError("the lane never came to rest")


# -- enqueueing -----------------------------------------------------------------------------


def test_a_job_belongs_to_the_callers_transaction() -> None:
    with transaction.atomic():
        enqueue(1)
        transaction.set_rollback(True)
    assert not Job.objects.exists()


def test_a_kind_nobody_knows_is_refused_where_it_is_asked_for() -> None:
    with pytest.raises(UnknownKindError):
        enqueue_job("tests.no_such_kind", NewJob())


def test_a_job_of_another_release_is_left_to_its_processes_and_holds_nobody_up(deed: Deed) -> None:
    enqueue(1)
    enqueue(2)
    first = Job.objects.order_by("id").first()
    assert first is not None
    Job.objects.filter(pk=first.pk).update(kind="tests.of_the_next_release")
    run_due("default")
    first.refresh_from_db()
    assert (first.state, first.attempt, deed.applied) == ("ready", 0, [2])


def test_a_unique_key_admits_one_unfinished_job() -> None:
    assert enqueue_job(KIND, NewJob(unique_key="once")) == 1
    assert enqueue_job(KIND, NewJob(unique_key="once")) == 0
    claim_and_prepare("default", 1, 10)
    assert enqueue_job(KIND, NewJob(unique_key="once")) == 0, "a running job holds its key"


def test_a_unique_key_is_free_again_once_its_job_is_finished() -> None:
    enqueue_job(KIND, NewJob(unique_key="once"))
    run_due("default")

    assert enqueue_job(KIND, NewJob(unique_key="once")) == 1


def test_keys_may_repeat_within_one_call() -> None:
    assert enqueue_jobs(KIND, [NewJob(unique_key="once"), NewJob(unique_key="once"), NewJob()]) == 2


def test_a_delayed_job_waits_for_its_time() -> None:
    enqueue(1, delay=timedelta(hours=1))
    assert claim_jobs("default", 1, 10) == []
    make_due()
    assert numbers(claim_jobs("default", 1, 10)) == [1]


# -- claiming -------------------------------------------------------------------------------


def test_a_claim_counts_the_attempt_and_moves_the_fence_before_anything_runs() -> None:
    enqueue(1)
    (claimed,) = claim_jobs("default", 7, 10)

    job = only_job()
    assert (job.state, job.attempt, job.fence, job.worker) == ("running", 1, 1, 7)
    assert (claimed.attempt, claimed.fence) == (1, 1)
    assert job.lease_until is not None
    assert job.lease_until > timezone.now()


def test_a_job_is_claimed_once() -> None:
    enqueue(1, 2, 3)
    assert len(claim_jobs("default", 1, 2)) == 2
    assert len(claim_jobs("default", 2, 2)) == 1
    assert claim_jobs("default", 3, 2) == []


def test_lower_priority_numbers_run_first_and_older_ones_before_younger() -> None:
    for number, priority in ((1, 100), (2, 10), (3, 100), (4, 10)):
        enqueue(number, priority=priority)
    claims = [numbers(claim_jobs("default", 1, 1))[0] for _ in range(4)]
    assert claims == [2, 4, 1, 3]


def test_lanes_do_not_see_each_others_jobs() -> None:
    enqueue(1)
    assert claim_jobs("orders", 1, 10) == []


def test_a_kind_this_process_does_not_know_stays_for_one_that_does() -> None:
    Job.objects.create(kind="tests.of_the_next_release", lane="default")
    assert claim_jobs("default", 1, 10) == []


def test_a_paused_lane_claims_nothing_and_work_under_way_ends() -> None:
    enqueue(1)
    calls, _ = claim_and_prepare("default", 1, 10)
    pause_lane("default", actor="anna", reason="broker maintenance")
    enqueue(2)
    assert claim_jobs("default", 1, 10) == []
    apply_outcomes(perform_calls(calls))
    assert Job.objects.filter(state="succeeded").count() == 1

    resume_lane("default", actor="anna", reason="over")
    assert numbers(claim_jobs("default", 1, 10)) == [2]
    assert list(AuditEntry.objects.order_by("id").values_list("actor", "action", "reason")) == [
        ("anna", "pause_lane", "broker maintenance"),
        ("anna", "resume_lane", "over"),
    ]


def test_only_lanes_that_are_not_paused_are_due() -> None:
    enqueue(1)
    Job.objects.update(run_at=timezone.now() - timedelta(seconds=5))
    assert find_due_lanes() == ["default"]
    pause_lane("default", actor="anna", reason="x")
    assert find_due_lanes() == []


def test_concurrent_claims_never_share_a_job(committed: None) -> None:
    enqueue(*range(200))
    claimed: list[int] = []
    together = threading.Barrier(4)

    def claim(worker: int) -> None:
        together.wait(10)
        try:
            while True:
                with transaction.atomic():
                    jobs = claim_jobs("default", worker, 7)
                if not jobs:
                    return
                claimed.extend(numbers(jobs))
        finally:
            connection.close()

    threads = [threading.Thread(target=claim, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(claimed) == list(range(200))
    assert set(Job.objects.values_list("attempt", "fence")) == {(1, 1)}


# -- ends -----------------------------------------------------------------------------------


def test_a_job_that_is_done_leaves_no_attempt_row(deed: Deed) -> None:
    enqueue(1)
    run_due("default")

    job = only_job()
    assert (job.state, job.worker, job.lease_until) == ("succeeded", None, None)
    assert job.finished_at is not None
    assert (deed.applied, outcomes_of(job)) == ([1], [])


def test_a_failed_job_waits_and_runs_again(deed: Deed) -> None:
    deed.settle = {1: [Retry(ERROR)]}
    enqueue(1)
    before = timezone.now()
    run_due("default")
    job = only_job()
    assert (job.state, job.attempt, job.error_code) == ("ready", 1, ERROR.code)
    assert before <= job.run_at <= timezone.now() + Deed.retry.delay_max

    run_until_settled()
    assert (only_job().state, deed.performed, outcomes_of(job)) == ("succeeded", [1, 1], ["failed"])
    assert only_job().error_code == ""


def test_a_job_that_used_up_its_attempts_is_a_dead_letter(deed: Deed) -> None:
    deed.settle = {1: [Retry(ERROR)] * 9}
    enqueue(1)
    run_until_settled()

    job = only_job()
    assert (job.state, job.attempt, deed.performed) == ("dead", 3, [1, 1, 1])
    assert outcomes_of(job) == ["failed", "failed", "dead"]
    assert job.finished_at is not None


def test_a_job_no_attempt_can_help_dies_at_once(deed: Deed) -> None:
    deed.settle = {1: [Dead(ERROR)]}
    enqueue(1)
    run_until_settled()

    assert (only_job().state, only_job().attempt, only_job().error_message) == ("dead", 1, "as planned")


def test_a_snooze_spends_no_attempt(deed: Deed) -> None:
    deed.settle = {1: [Snooze(timedelta(0), ERROR)] * 12}
    enqueue(1)
    run_until_settled()

    job = only_job()
    assert (job.state, job.attempt, job.snoozes, job.fence) == ("succeeded", 1, 12, 13)


def test_a_job_that_waits_was_not_begun_and_leaves_no_attempt(deed: Deed) -> None:
    deed.settle = {1: [Wait(timedelta(0), ERROR)] * 12}
    enqueue(1)
    run_until_settled()

    job = only_job()
    assert (job.state, job.attempt, job.snoozes, job.fence) == ("succeeded", 1, 0, 13)
    assert outcomes_of(job) == []


@pytest.mark.parametrize(
    ("error", "state", "code"),
    [
        (NotStartedError(), "ready", "SYSTEM_WORKER_STOPPING"),
        (JobTimeoutError("slow"), "ready", "SYSTEM_JOB_TIMEOUT"),
        (RuntimeError("boom"), "ready", "SYSTEM_UNEXPECTED"),
    ],
)
def test_a_call_that_raised_is_tried_again(error: Exception, state: str, code: str) -> None:
    enqueue(1)
    calls, _ = claim_and_prepare("default", 1, 10)
    apply_outcomes([Performed(call.job, call.request, error=error) for call in calls])

    assert (only_job().state, only_job().error_code) == (state, code)
    assert only_job().attempt == (0 if isinstance(error, NotStartedError) else 1)


def test_a_job_whose_deadline_passed_is_not_run(deed: Deed) -> None:
    enqueue_job(KIND, NewJob(payload={"n": 1}, deadline_at=timezone.now() - timedelta(seconds=1)))
    enqueue_job(KIND, NewJob(payload={"n": 2}, deadline_at=timezone.now() + timedelta(hours=1)))
    run_due("default")

    assert deed.performed == [2]
    assert Job.objects.get(state="dead").error_code == "SYSTEM_DEADLINE_PASSED"


def test_one_job_that_cannot_be_prepared_hinders_no_other(deed: Deed) -> None:
    deed.unpreparable = {2}
    enqueue(1, 2, 3)
    run_until_settled()

    assert deed.performed == [1, 3]
    dead = Job.objects.get(state="dead")
    assert (dead.payload["n"], dead.attempt) == (2, 3)


@pytest.mark.parametrize("lack", [errno.EMFILE, errno.ENFILE])
def test_a_process_without_descriptors_spends_no_attempt_and_buries_nothing(deed: Deed, lack: int) -> None:
    deed.trouble, deed.unpreparable = OSError(lack, os.strerror(lack)), {1}
    enqueue(1)
    for _ in range(5):
        with pytest.raises(OSError, match="Too many open files"):
            claim_and_prepare("default", 1, 10)
    assert (only_job().state, only_job().attempt) == ("ready", 0)

    deed.unpreparable, deed.poisoned = set(), {1}
    outcomes = perform_calls(claim_and_prepare("default", 1, 10)[0])
    with pytest.raises(OSError, match="Too many open files"):
        apply_outcomes(outcomes)
    deed.poisoned = set()
    apply_outcomes(outcomes)
    assert (only_job().state, deed.performed, deed.applied) == ("succeeded", [1], [1])


def test_one_outcome_that_cannot_be_applied_kills_only_its_own_job(deed: Deed) -> None:
    deed.poisoned = {2}
    enqueue(1, 2, 3)
    run_due("default")

    assert deed.applied == [1, 3]
    dead = Job.objects.get(state="dead")
    assert (dead.payload["n"], dead.error_code) == (2, "SYSTEM_UNEXPECTED")
    assert JobAttempt.objects.get(job=dead).detail["result"] == "2", "what came back is kept"


@pytest.mark.parametrize("text", ["a\x00b", "lone \ud800 surrogate", "x" * 5000])
def test_whatever_an_error_says_it_is_recorded(deed: Deed, text: str) -> None:
    deed.settle = {1: [Dead(JobError("SYSTEM_UNEXPECTED", text, {"said": text}))]}
    enqueue(1)
    run_due("default")

    job = only_job()
    assert (job.state, job.error_code, outcomes_of(job)) == ("dead", "SYSTEM_UNEXPECTED", ["dead"])
    assert job.error_message != "", "the reason itself is kept"
    assert "could not be applied" not in job.error_message


# -- fence and rescue -----------------------------------------------------------------------


def test_an_outcome_whose_fence_moved_is_kept_as_late_evidence(deed: Deed) -> None:
    enqueue(1)
    calls, _ = claim_and_prepare("default", 1, 10)
    rescue_lost_jobs()
    apply_outcomes(perform_calls(calls))

    job = only_job()
    assert (job.state, deed.applied, deed.late) == ("ready", [], [1])
    assert outcomes_of(job) == ["lost", "late"]


def test_a_job_claimed_again_while_its_first_call_is_under_way_is_settled_by_the_second(deed: Deed) -> None:
    """One process can hold both claims: it was frozen, its job was handed on, and it took it up again."""
    enqueue(1)
    first, _ = claim_and_prepare("default", 1, 10)
    rescue_lost_jobs()
    second, _ = claim_and_prepare("default", 1, 10)
    deed.settle = {1: [Retry(ERROR)]}
    apply_outcomes([*perform_calls(second), *perform_calls(first)])

    assert (deed.late, deed.applied) == ([1], [1])
    assert (only_job().state, only_job().attempt) == ("ready", 2)
    assert outcomes_of(only_job()) == ["lost", "late", "failed"]


def rescued_within(seconds: float) -> list[int]:
    """Rescue until something was rescued: the server frees the lock of a closed connection a moment later."""
    deadline = time.monotonic() + seconds
    while not (rescued := rescue_lost_jobs()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return [one.jobs for one in rescued]


def test_a_job_of_a_living_process_is_left_alone(committed: None) -> None:
    pulse = Pulse("worker", "a test")
    try:
        enqueue(1)
        claim_jobs("default", pulse.number, 10)
        assert rescue_lost_jobs() == []
        assert only_job().state == "running"
    finally:
        pulse.stop()
    assert rescued_within(seconds=60) == [1]
    assert (only_job().state, only_job().error_code) == ("ready", "SYSTEM_WORKER_LOST")


def test_a_lease_that_ended_hands_the_job_on_even_if_its_process_lives(committed: None) -> None:
    pulse = Pulse("worker", "a frozen test")
    try:
        enqueue(1)
        (claimed,) = claim_jobs("default", pulse.number, 10)
        Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        assert [one.jobs for one in rescue_lost_jobs(by_pulse=False)] == [1]
        assert only_job().error_code == "SYSTEM_LEASE_EXPIRED"
        renew_leases([claimed], timedelta(hours=1))
        assert only_job().lease_until is None, "a job that was handed on cannot be taken back"
    finally:
        pulse.stop()


def test_freezes_of_a_living_process_bury_no_job_until_its_attempts_are_used_up(committed: None) -> None:
    pulse = Pulse("worker", "a machine that stops now and then")
    try:
        enqueue(1)
        crashes, attempts = [], only_job().max_attempts
        for _ in range(attempts + 4):
            assert claim_jobs("default", pulse.number, 1, suspicion_of(only_job().crashes))
            Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
            rescue_lost_jobs()
            crashes.append(only_job().crashes)
        assert crashes == [0] * (attempts - 1) + [1, 2, 3, 4, 5]
        assert only_job().state == "dead"
    finally:
        pulse.stop()


def test_right_after_an_outage_only_leases_count() -> None:
    enqueue(1)
    claim_jobs("default", 1, 10)
    assert rescue_lost_jobs(by_pulse=False) == []


def test_renewing_extends_the_lease_of_what_is_under_way() -> None:
    enqueue(1)
    jobs = claim_jobs("default", 1, 10)
    renew_leases(jobs, timedelta(hours=1))

    lease_until = only_job().lease_until
    assert lease_until is not None
    assert lease_until > timezone.now() + timedelta(minutes=59)


def test_a_job_that_kills_its_process_is_buried_after_five_starts() -> None:
    enqueue(1)
    for _ in range(2):
        assert claim_jobs("default", 1, 10, suspicion_of(only_job().crashes))
        assert [one.state for one in rescue_lost_jobs()] == ["ready"]
    assert has_suspects(["default"]) == {"default"}
    assert claim_jobs("default", 1, 10) == [], "a suspect runs alone"
    for state in ("ready", "ready", "dead"):
        assert len(claim_jobs("default", 1, 1, suspicion_of(only_job().crashes))) == 1
        assert [one.state for one in rescue_lost_jobs()] == [state]

    job = only_job()
    assert (job.state, job.crashes, job.error_code) == ("dead", 5, "SYSTEM_CRASH_LOOP")
    assert outcomes_of(job) == ["lost"] * 5


@pytest.mark.parametrize(("is_sound", "crashes"), [(True, 0), (False, 1)])
def test_a_job_that_did_all_it_does_and_waits_is_no_suspect_any_more(deed: Deed, is_sound: bool, crashes: int) -> None:
    enqueue(1)
    deed.settle = {1: [Snooze(timedelta(hours=1), is_sound=is_sound)]}
    Job.objects.update(crashes=1)
    run_due("default")

    assert (only_job().state, only_job().crashes) == ("ready", crashes)


@pytest.mark.parametrize(("crashes", "together"), [(2, 16), (3, 4), (4, 1)])
def test_suspects_run_in_groups_that_grow_smaller_with_each_death(crashes: int, together: int) -> None:
    enqueue(*range(20))
    Job.objects.update(crashes=crashes)
    others = {one for one in SUSPICIONS if one is not suspicion_of(crashes)}

    assert claim_jobs("default", 1, 100) == []
    assert all(claim_jobs("default", 1, 100, one) == [] for one in others)
    assert len(claim_jobs("default", 1, 100, suspicion_of(crashes))) == together


# -- records --------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["reliability_jobattempt", "reliability_auditentry"])
@pytest.mark.parametrize("change", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_what_was_recorded_cannot_be_changed(table: str, change: str) -> None:
    enqueue(1)
    claim_jobs("default", 1, 10)
    rescue_lost_jobs()
    pause_lane("default", actor="anna", reason="x")
    with (
        pytest.raises(IntegrityError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(change.format(table))


def test_the_lanes_are_there_after_a_migration() -> None:
    assert set(Lane.objects.values_list("name", flat=True)) == {
        "orders",
        "recovery",
        "market_data",
        "alerts",
        "default",
    }
