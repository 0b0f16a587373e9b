"""What the tests of jobs share: a kind, a way to enqueue it, and its attempts."""

from collections.abc import Sequence
from typing import Any

from reliability.core.jobs import (
    ClaimedJob,
    JobError,
)
from reliability.models import Job, JobAttempt
from reliability.services.jobs.enqueue import NewJob, enqueue_jobs
from tests.fakes import make_due, run_due

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
