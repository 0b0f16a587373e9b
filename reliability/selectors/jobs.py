"""Reading jobs, dead letters and lanes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import prefetch_related_objects

from reliability.core.jobs import JobState
from reliability.models import Job, JobAttempt, Lane


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """One lane: what waits, since when, what runs, and whether it is paused."""

    name: str
    concurrency: int
    ready: int
    running: int
    dead: int
    oldest_due_at: datetime | None
    paused_at: datetime | None
    paused_reason: str


# One branch per partial index: together they read unfinished jobs only, however many are finished.
_UNFINISHED = """
SELECT lane, state, count(*), min(run_at) FROM reliability_job WHERE state = 'ready' GROUP BY lane, state
UNION ALL
SELECT lane, state, count(*), NULL FROM reliability_job WHERE state = 'running' GROUP BY lane, state
UNION ALL
SELECT lane, state, count(*), NULL FROM reliability_job WHERE state = 'dead' GROUP BY lane, state
"""


def _unfinished_by_lane() -> list[tuple[str, str, int, datetime | None]]:
    with connection.cursor() as cursor:
        cursor.execute(_UNFINISHED)
        return list(cursor.fetchall())


def list_lanes() -> list[LaneStatus]:
    """Return every lane with its counts of unfinished jobs."""
    unfinished = _unfinished_by_lane()
    counts = {(lane, state): number for lane, state, number, _ in unfinished}
    oldest = {lane: run_at for lane, state, _, run_at in unfinished if state == JobState.READY}
    return [
        LaneStatus(
            name=lane.name,
            concurrency=lane.concurrency,
            ready=counts.get((lane.name, JobState.READY), 0),
            running=counts.get((lane.name, JobState.RUNNING), 0),
            dead=counts.get((lane.name, JobState.DEAD), 0),
            oldest_due_at=oldest.get(lane.name),
            paused_at=lane.paused_at,
            paused_reason=lane.paused_reason,
        )
        for lane in Lane.objects.order_by("name")
    ]


def is_lane_behind(lane: str, by: timedelta) -> bool:
    """Return whether a job of this lane has been due for longer than ``by``."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM reliability_job WHERE state = 'ready' AND lane = %s "
            "AND run_at < clock_timestamp() - make_interval(secs => %s))",
            [lane, by.total_seconds()],
        )
        return bool(cursor.fetchone()[0])


def count_unfinished_jobs() -> dict[str, int]:
    """Return how many jobs are ready, running and dead."""
    counts = {"ready": 0, "running": 0, "dead": 0}
    for _, state, number, _ in _unfinished_by_lane():
        counts[state] += number
    return counts


def dead_letter_summary(job: Job) -> dict[str, Any]:
    """Return one dead letter as plain data."""
    return {
        "id": job.pk,
        "kind": job.kind,
        "lane": job.lane,
        "subject": str(job.subject) if job.subject else None,
        "payload": job.payload,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "crashes": job.crashes,
        "error_code": job.error_code,
        "error_message": job.error_message,
        "correlation_id": job.correlation_id,
        "created_at": job.created_at,
        "died_at": job.finished_at,
    }


def list_dead_letters(
    *, kind: str = "", error_code: str = "", after_id: int | None = None, limit: int = 100
) -> list[Job]:
    """Return dead jobs, newest first; ``after_id`` goes on after the last one of a page."""
    jobs = Job.objects.filter(state=JobState.DEAD).order_by("-id")
    if kind:
        jobs = jobs.filter(kind=kind)
    if error_code:
        jobs = jobs.filter(error_code=error_code)
    if after_id is not None:
        jobs = jobs.filter(pk__lt=after_id)
    return list(jobs[:limit])


def find_dead_letter(job_id: int) -> Job | None:
    return Job.objects.filter(pk=job_id, state=JobState.DEAD).first()


def list_attempts(job_id: int) -> list[dict[str, Any]]:
    """Return the attempts of a job that have a row, oldest first."""
    rows = JobAttempt.objects.filter(job_id=job_id).order_by("id")
    fields = ("attempt", "fence", "worker", "outcome", "error_code", "error_message", "detail", "actor", "recorded_at")
    return [dict(zip(fields, row, strict=True)) for row in rows.values_list(*fields)]


@dataclass(frozen=True, slots=True)
class DeadLetterGroup:
    """Dead letters of one kind that died of the same error."""

    kind: str
    error_code: str
    count: int
    oldest_at: datetime


_DEAD_LETTER_GROUPS = """
SELECT kind, error_code, count(*), min(finished_at) FROM reliability_job WHERE state = 'dead'
GROUP BY kind, error_code ORDER BY count(*) DESC, kind, error_code
"""


def list_dead_letter_groups() -> list[DeadLetterGroup]:
    """Return what waits for a person, by kind and error, most frequent first."""
    with connection.cursor() as cursor:
        cursor.execute(_DEAD_LETTER_GROUPS)
        return [DeadLetterGroup(*row) for row in cursor.fetchall()]


def list_newest_dead_letters(limit: int) -> list[Job]:
    """Return the jobs that died last."""
    return list(Job.objects.filter(state=JobState.DEAD).order_by("-finished_at")[:limit])


def list_unfinished_jobs(subject: UUID, limit: int = 20) -> list[Job]:
    """Return the jobs about a subject that run, are dead or wait, with their attempts.

    Finished ones are left out: there is no index on them, and what they did is in the subject's history.
    """
    jobs: list[Job] = []
    for state in (JobState.RUNNING, JobState.DEAD, JobState.READY):
        jobs.extend(Job.objects.filter(state=state, subject=subject)[:limit])
    prefetch_related_objects(jobs, "attempts")
    return jobs[:limit]


def busy_subjects(subjects: list[UUID]) -> set[UUID]:
    """Return those of these subjects that a job waits or runs for."""
    rows = Job.objects.filter(state__in=[JobState.READY, JobState.RUNNING], subject__in=subjects)
    return {subject for subject in rows.values_list("subject", flat=True) if subject is not None}


def held_keys(prefix: str) -> set[str]:
    """Return the unique keys that begin with ``prefix``, of jobs that wait, run, or are dead and wait for a person."""
    states = [JobState.READY, JobState.RUNNING, JobState.DEAD]
    rows = Job.objects.filter(state__in=states, unique_key__startswith=prefix)
    return {key for key in rows.values_list("unique_key", flat=True) if key is not None}


def dead_subjects(subjects: list[UUID]) -> dict[UUID, str]:
    """Return which of these subjects have a dead job, and of what kind the newest is."""
    rows = Job.objects.filter(state=JobState.DEAD, subject__in=subjects).order_by("id").values_list("subject", "kind")
    return {subject: kind for subject, kind in rows if subject is not None}
