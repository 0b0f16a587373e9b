"""Put work into the table, inside the caller's transaction."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from reliability import dispatch
from reliability.core.correlation import correlation_or_new
from reliability.services.jobs.kinds import get_kind

_INSERT = """
INSERT INTO reliability_job (kind, lane, state, priority, subject, payload, unique_key, run_at, attempt, max_attempts,
                             snoozes, crashes, fence, deadline_at, correlation_id, error_code, error_message)
SELECT %(kind)s, %(lane)s, 'ready', %(priority)s, subject, payload, unique_key,
       clock_timestamp() + %(delay)s, 0, %(max_attempts)s, 0, 0, 0, deadline_at, correlation_id, '', ''
FROM unnest(%(subjects)s::uuid[], %(payloads)s::jsonb[], %(keys)s::text[], %(deadlines)s::timestamptz[],
            %(correlations)s::text[]) AS job (subject, payload, unique_key, deadline_at, correlation_id)
ON CONFLICT (unique_key) WHERE state IN ('ready', 'running') AND unique_key IS NOT NULL DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class NewJob:
    """One job to be: what it is about, plain JSON data, and a key that keeps it single while unfinished."""

    subject: UUID | None = None
    payload: dict[str, Any] = field(default_factory=dict)
    unique_key: str | None = None
    deadline_at: datetime | None = None
    correlation_id: str | None = None


def enqueue_jobs(
    kind_name: str, jobs: Sequence[NewJob], *, delay: timedelta = timedelta(0), priority: int = 100
) -> int:
    """Insert jobs of one kind and return how many are new; keys already unfinished are skipped.

    The rows belong to the caller's transaction. Once it commits, the lane is nudged;
    losing the nudge only costs time.
    """
    if not jobs:
        return 0
    kind = get_kind(kind_name)
    correlation_id = correlation_or_new()
    parameters: Any = {
        "kind": kind.name,
        "lane": kind.lane,
        "priority": priority,
        "delay": delay,
        "max_attempts": kind.retry.max_attempts,
        "subjects": [job.subject for job in jobs],
        "payloads": [json.dumps(job.payload) for job in jobs],
        "keys": [job.unique_key for job in jobs],
        "deadlines": [job.deadline_at for job in jobs],
        "correlations": [job.correlation_id or correlation_id for job in jobs],
    }
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, parameters)
        inserted: int = cursor.rowcount
    if not delay:
        dispatch.nudge_on_commit(kind.lane)
    return inserted


def enqueue_job(kind_name: str, job: NewJob, *, delay: timedelta = timedelta(0), priority: int = 100) -> int:
    """Insert one job; returns 0 when its unique key is already unfinished."""
    return enqueue_jobs(kind_name, [job], delay=delay, priority=priority)


def jobs_insert(kind_name: str, source: str) -> str:
    """Return SQL that inserts one job per row of ``source``, for a statement that inserts what they are about.

    It saves the round trips of a transaction where every order makes them. ``source`` is the
    name of a common table expression with columns ``id`` (the subject) and ``correlation_id``;
    the caller calls ``jobs_inserted`` afterwards.
    """
    kind = get_kind(kind_name)
    return f"""
    INSERT INTO reliability_job (kind, lane, state, priority, subject, payload, run_at, attempt, max_attempts, snoozes,
                                 crashes, fence, correlation_id, error_code, error_message)
    SELECT '{kind.name}', '{kind.lane}', 'ready', 100, id, '{{}}', clock_timestamp(), 0, {kind.retry.max_attempts}, 0,
           0, 0, correlation_id, '', ''
    FROM {source}
    """  # noqa: S608  # names of our own code, no input


def jobs_inserted(kind_name: str) -> None:
    """Nudge the lane of a kind once the jobs inserted with ``jobs_insert`` are committed."""
    dispatch.nudge_on_commit(get_kind(kind_name).lane)
