"""Statements on the job table: claim, finish, hand on. Each serves a whole batch."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection

from reliability.conf import get_conf
from reliability.core.jobs import ClaimedJob, JobState, Suspicion
from reliability.services.jobs.kinds import list_kinds
from reliability.services.prepared import fetch_prepared

# The parts of a claim, for statements that do more at once (``express``). Its order is that of the index ``job_due``,
# and what is compared with the run time is stable, so that a claim reads as many entries as it takes and no others:
# neither the backlog behind them nor what waits for later. A join to the kinds would sort the backlog.
_DUE = """
    SELECT job.id, job.kind, job.subject, job.attempt, job.snoozes, job.fence, job.deadline_at,
           (%(leases)s::interval[])[array_position(%(kinds)s::text[], job.kind::text)] AS lease
    FROM reliability_job job
    WHERE job.lane = %(lane)s AND job.state = 'ready' AND job.run_at <= statement_timestamp()
      AND job.kind = ANY(%(kinds)s::text[]) AND {suspicion}
      AND NOT EXISTS (SELECT 1 FROM reliability_lane WHERE name = %(lane)s AND paused_at IS NOT NULL)
    ORDER BY job.priority, job.run_at
    LIMIT %(limit)s
    FOR UPDATE OF job SKIP LOCKED
"""
DUE = _DUE.format(suspicion="job.crashes < 2")
_DUE_SUSPECTS = _DUE.format(suspicion="job.crashes >= 2 AND job.crashes BETWEEN %(least)s AND %(most)s")
CLAIM_OF = """
    UPDATE reliability_job job
    SET state = 'running', attempt = job.attempt + 1, fence = job.fence + 1, worker = %(worker)s,
        lease_until = clock_timestamp() + due.lease
    FROM {source} due WHERE job.id = due.{key}
    RETURNING job.id, job.kind, job.lane, job.subject, job.payload, job.attempt, job.max_attempts, job.crashes,
              job.snoozes, job.fence, job.correlation_id,
              coalesce(job.deadline_at <= clock_timestamp(), false) AS is_overdue,
              extract(epoch FROM due.lease)::float AS lease_seconds
"""
CLAIMED_COLUMNS = 13
_CLAIM = CLAIM_OF.format(source="due", key="id")
_CLAIM_USUAL = f"WITH due AS MATERIALIZED ({DUE}) {_CLAIM}"  # constants of our own
_CLAIM_SUSPECTS = f"WITH due AS MATERIALIZED ({_DUE_SUSPECTS}) {_CLAIM}"

_LOCK_CURRENT = """
SELECT job.id, job.fence FROM reliability_job job
JOIN unnest(%s::bigint[], %s::bigint[]) AS held (id, fence) ON held.id = job.id AND held.fence = job.fence
WHERE job.state = 'running'
ORDER BY job.id FOR UPDATE OF job
"""

_SUCCEED = """
UPDATE reliability_job
SET state = 'succeeded', worker = NULL, lease_until = NULL, finished_at = clock_timestamp(), error_code = '',
    error_message = ''
WHERE id = ANY(%s::bigint[])
"""

_FINISH = """
UPDATE reliability_job job
SET state = done.state, priority = coalesce(done.priority, job.priority), worker = NULL, lease_until = NULL,
    attempt = job.attempt - done.refund, snoozes = job.snoozes + done.snoozed,
    crashes = CASE WHEN done.is_sound THEN 0 ELSE job.crashes END,
    run_at = CASE WHEN done.state = 'ready' THEN clock_timestamp() + make_interval(secs => done.delay_seconds)
                  ELSE job.run_at END,
    finished_at = CASE WHEN done.state = 'ready' THEN NULL ELSE clock_timestamp() END,
    error_code = done.error_code, error_message = done.error_message, waits_for = done.waits_for
FROM json_to_recordset(%s::json)
     AS done (id bigint, state text, delay_seconds float, refund int, snoozed int, error_code text, error_message text,
              waits_for text, priority smallint, is_sound boolean)
WHERE job.id = done.id
"""

# Not EXISTS, which PostgreSQL may turn into a join that reads the whole backlog to know that there is one.
_FIND_DUE = """
SELECT lane.name FROM reliability_lane lane CROSS JOIN LATERAL (
    SELECT 1 FROM reliability_job job
    WHERE job.lane = lane.name AND job.state = 'ready' AND job.run_at <= statement_timestamp() - %(waited)s
    LIMIT 1
) due
WHERE lane.paused_at IS NULL AND (%(lanes)s::text[] IS NULL OR lane.name = ANY(%(lanes)s::text[]))
"""

_FIND_SUSPECTS = """
SELECT DISTINCT lane FROM reliability_job
WHERE lane = ANY(%s) AND state = 'ready' AND crashes >= 2 AND run_at <= statement_timestamp()
"""

_RENEW = """
UPDATE reliability_job job SET lease_until = clock_timestamp() + %(lease)s
FROM unnest(%(ids)s::bigint[], %(fences)s::bigint[]) AS held (id, fence)
WHERE job.id = held.id AND job.fence = held.fence AND job.state = 'running'
"""


@dataclass(frozen=True, slots=True)
class Finish:
    """How one job's row changes: ``refund`` 1 gives the attempt back, ``snoozed`` 1 counts a snooze.

    ``priority`` is the job's from then on; None leaves it as it is. ``is_sound`` forgets the deaths of its processes.
    """

    id: int
    state: JobState
    delay: timedelta = timedelta(0)
    refund: int = 0
    snoozed: int = 0
    error_code: str = ""
    error_message: str = ""
    waits_for: str = ""
    priority: int | None = None
    is_sound: bool = False

    @property
    def is_dead(self) -> bool:
        return self.state is JobState.DEAD


def claim_jobs(lane: str, worker: int, limit: int, suspicion: Suspicion | None = None) -> list[ClaimedJob]:
    """Claim up to ``limit`` due jobs of ``lane`` for ``worker`` and count their attempt.

    With a ``suspicion`` only jobs under it are taken, and no more than may run together then; without one only jobs
    under none. Jobs of a kind this process does not know stay where they are.
    """
    before = time.monotonic()
    if suspicion is None:
        rows = fetch_prepared(_CLAIM_USUAL, claim_parameters(lane, worker, limit))
    else:
        bounds = {"least": suspicion.least, "most": suspicion.most}
        rows = fetch_prepared(_CLAIM_SUSPECTS, claim_parameters(lane, worker, min(limit, suspicion.together)) | bounds)
    jobs = [claimed_job(row, before) for row in rows]
    return sorted(jobs, key=lambda job: job.id)


def claim_parameters(lane: str, worker: int, limit: int) -> dict[str, Any]:
    """Return what ``DUE`` and ``CLAIM_OF`` take."""
    kinds = list_kinds()
    lease = get_conf().job_lease
    return {
        "kinds": [kind.name for kind in kinds],
        "leases": [kind.lease or lease for kind in kinds],
        "lane": lane,
        "limit": limit,
        "worker": worker,
    }


def claimed_job(row: Sequence[Any], before: float) -> ClaimedJob:
    """Make a job of what ``CLAIM_OF`` returns; ``before`` is the monotonic clock before the claim."""
    values: list[Any] = list(row)
    values[4] = json.loads(values[4])
    values.insert(-1, before)
    return ClaimedJob(*values)


def lock_current(jobs: Iterable[ClaimedJob]) -> set[tuple[int, int]]:
    """Lock those jobs whose fence has not moved, in a fixed order, and return their claims (id and fence).

    One job can be here twice: handed on after its lease ended, and claimed again by the
    same process while the first call was still under way.
    """
    held = list(jobs)
    parameters = [_array(job.id for job in held), _array(job.fence for job in held)]
    return {(row[0], row[1]) for row in fetch_prepared(_LOCK_CURRENT, parameters)}


def finish_jobs(finishes: Sequence[Finish]) -> None:
    """Write how these jobs ended; nearly always all of them succeeded, which takes ids alone."""
    succeeded = [finish.id for finish in finishes if finish.state is JobState.SUCCEEDED]
    others = [_finish_row(finish) for finish in finishes if finish.state is not JobState.SUCCEEDED]
    if succeeded:
        fetch_prepared(_SUCCEED, [_array(succeeded)])
    if others:
        fetch_prepared(_FINISH, [json.dumps(others)])


def _finish_row(finish: Finish) -> dict[str, Any]:
    return {
        "id": finish.id,
        "state": finish.state.value,
        "delay_seconds": finish.delay.total_seconds(),
        "refund": finish.refund,
        "snoozed": finish.snoozed,
        "error_code": finish.error_code,
        "error_message": finish.error_message,
        "waits_for": finish.waits_for,
        "priority": finish.priority,
        "is_sound": finish.is_sound,
    }


def _array(numbers: Iterable[int]) -> str:
    """Return an array literal: a list of numbers as one text costs a fraction of one value at a time."""
    return "{" + ",".join(map(str, numbers)) + "}"


def renew_leases(jobs: Sequence[ClaimedJob], lease: timedelta) -> None:
    """Extend the lease of jobs still under way; the ones taken over stay taken over."""
    if not jobs:
        return
    parameters: Any = {"ids": [job.id for job in jobs], "fences": [job.fence for job in jobs], "lease": lease}
    with connection.cursor() as cursor:
        cursor.execute(_RENEW, parameters)


def find_due(lanes: Sequence[str] | None, waited: timedelta = timedelta(0)) -> list[str]:
    """Return those of these lanes, or of all, that are not paused and have a job due for that long."""
    parameters = {"lanes": None if lanes is None else list(lanes), "waited": waited}
    return [row[0] for row in fetch_prepared(_FIND_DUE, parameters)]


def has_suspects(lanes: Sequence[str]) -> set[str]:
    """Return the lanes in which a due job waits that must run alone."""
    return {row[0] for row in fetch_prepared(_FIND_SUSPECTS, [list(lanes)])}
