"""Handing unfinished jobs to a person: they become dead letters without a further attempt."""

from collections.abc import Sequence
from uuid import UUID

from django.db import connection

from reliability.core.jobs import AttemptOutcome, JobError
from reliability.models import JobAttempt
from reliability.services.jobs.dead_alerts import tell_dead

_HAND_OVER = """
UPDATE reliability_job
SET state = 'dead', worker = NULL, lease_until = NULL, finished_at = clock_timestamp(), error_code = %s,
    error_message = %s, fence = fence + 1
WHERE kind = %s AND subject = ANY(%s::uuid[]) AND state IN ('ready', 'running')
RETURNING id, attempt, fence
"""


def hand_over(kind: str, subjects: Sequence[UUID], error: JobError, *, actor: str) -> int:
    """Let a person decide on the unfinished jobs of these subjects, in the caller's transaction; returns how many.

    The fence moves: what a process that holds one of them answers is kept as late evidence.
    """
    with connection.cursor() as cursor:
        cursor.execute(_HAND_OVER, [error.code, error.message[:1000], kind, list(subjects)])
        rows = cursor.fetchall()
    JobAttempt.objects.bulk_create(
        JobAttempt(
            job_id=job,
            attempt=attempt,
            fence=fence,
            outcome=AttemptOutcome.FAILED,
            error_code=error.code,
            error_message=error.message[:1000],
            actor=actor,
        )
        for job, attempt, fence in rows
    )
    if rows:
        tell_dead([(kind, error.message)])
    return len(rows)
