"""Hand on the jobs of processes that died or froze, and name the lanes that have due work."""

from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from reliability.conf import get_conf
from reliability.core.jobs import URGENT_PRIORITY, JobState
from reliability.services.jobs.dead_alerts import tell_dead
from reliability.services.jobs.table import find_due
from reliability.services.prepared import fetch_prepared
from reliability.services.pulse import PULSE_CLASS, is_gone

_ALIVE = """
SELECT objid::int AS pulse FROM pg_locks
WHERE locktype = 'advisory' AND classid = %(pulse_class)s AND granted AND objsubid = 2
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

# A process is dead when nobody holds its pulse lock. The statement's snapshot is taken
# before pg_locks is read, and a worker takes its pulse before its first claim, so a job
# visible here was claimed under a pulse that pg_locks shows if it is still alive.
# A process that lives and was only silent past its lease (frozen, or its machine was) is no
# crash of the job's making, until the job has used up its attempts that way.
_RESCUE = f"""
WITH alive AS MATERIALIZED ({_ALIVE}), lost AS MATERIALIZED (
    SELECT id, worker, (lease_until >= clock_timestamp()) AS dead,
        crashes + (attempt >= max_attempts OR worker NOT IN (SELECT pulse FROM alive))::int AS crashes
    FROM reliability_job
    WHERE state = 'running'
      AND (lease_until < clock_timestamp() OR (%(by_pulse)s AND worker NOT IN (SELECT pulse FROM alive)))
    ORDER BY id LIMIT 500
    FOR UPDATE SKIP LOCKED
), moved AS (
    UPDATE reliability_job job
    SET state = CASE WHEN lost.crashes >= %(max_crashes)s THEN 'dead' ELSE 'ready' END,
        crashes = lost.crashes, fence = job.fence + 1, worker = NULL, lease_until = NULL, run_at = clock_timestamp(),
        priority = least(job.priority, %(urgent)s),
        finished_at = CASE WHEN lost.crashes >= %(max_crashes)s THEN clock_timestamp() END,
        error_code = CASE WHEN lost.crashes >= %(max_crashes)s THEN 'SYSTEM_CRASH_LOOP'
                          WHEN lost.dead THEN 'SYSTEM_WORKER_LOST' ELSE 'SYSTEM_LEASE_EXPIRED' END,
        error_message = CASE WHEN lost.dead THEN 'The process that ran this died.'
                             ELSE 'The process that ran this was silent past its lease.' END
    FROM lost WHERE job.id = lost.id
    RETURNING job.id, job.kind, job.lane, job.state, job.attempt, job.fence, lost.worker, job.error_code,
              job.error_message
), noted AS (
    INSERT INTO reliability_jobattempt
        (job_id, attempt, fence, worker, outcome, error_code, error_message, detail, actor)
    SELECT id, attempt, fence - 1, worker, 'lost', error_code, error_message, '{{}}', 'sentinel' FROM moved
)
SELECT lane, state, kind, error_message, count(*) FROM moved GROUP BY lane, state, kind, error_message
"""  # noqa: S608  # constants of our own

_LOOK = f"""
WITH alive AS MATERIALIZED ({_ALIVE})
SELECT EXISTS (SELECT 1 FROM reliability_job
               WHERE state = 'running' AND (lease_until < clock_timestamp()
                                            OR (%(by_pulse)s AND worker NOT IN (SELECT pulse FROM alive)))),
       EXISTS (SELECT 1 FROM reliability_heartbeat WHERE ended_at IS NULL AND pulse NOT IN (SELECT pulse FROM alive))
"""  # noqa: S608  # constants of our own

_MISSING = f"""
SELECT pulse, host, pid, beat_at < clock_timestamp() - %(grace)s FROM reliability_heartbeat
WHERE ended_at IS NULL AND pulse NOT IN ({_ALIVE})
"""  # noqa: S608  # constants of our own

_END_PROCESSES = f"""
UPDATE reliability_heartbeat
SET ended_at = clock_timestamp(), end_reason = 'died'
WHERE ended_at IS NULL AND pulse = ANY(%(dead)s) AND pulse NOT IN ({_ALIVE})
RETURNING kind, name, pid, extract(epoch FROM clock_timestamp() - beat_at)::float
"""  # noqa: S608  # constants of our own


@dataclass(frozen=True, slots=True)
class Rescued:
    """How many jobs of a lane and kind were handed on (``ready``) or given up (``dead``)."""

    lane: str
    state: str
    kind: str
    message: str
    jobs: int


@dataclass(frozen=True, slots=True)
class EndedProcess:
    """A process that died; ``silent_seconds`` is how long ago its last heartbeat was."""

    kind: str
    name: str
    pid: int
    silent_seconds: float


def look_for_lost(*, by_pulse: bool = True) -> tuple[bool, bool]:
    """Return whether jobs are lost, and whether processes miss their pulse: one cheap statement, many times a second.

    ``by_pulse`` is as in ``rescue_lost_jobs``.
    """
    parameters: Any = {"pulse_class": PULSE_CLASS, "by_pulse": by_pulse}
    ((jobs, processes),) = fetch_prepared(_LOOK, parameters)
    return jobs, processes


def rescue_lost_jobs(*, by_pulse: bool = True) -> list[Rescued]:
    """Hand on every running job whose lease is over or whose process is dead.

    ``by_pulse`` False looks at leases only, as long as processes may still be on their way
    back after a database outage.
    """
    parameters: Any = {
        "pulse_class": PULSE_CLASS,
        "max_crashes": get_conf().max_crashes,
        "by_pulse": by_pulse,
        "urgent": URGENT_PRIORITY,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_RESCUE, parameters)
        rescued = [Rescued(*row) for row in cursor.fetchall()]
        tell_dead([(one.kind, one.message) for one in rescued if one.state == JobState.DEAD for _ in range(one.jobs)])
    return rescued


def end_dead_processes(*, by_silence: bool = True) -> list[EndedProcess]:
    """Mark the processes whose pulse is gone, and that are not just taking it again after a lost connection.

    Those of this machine are dead once their pid is. Of others only silence can tell, for as long as between two
    beats; ``by_silence`` False waits with these, as long as all may be on their way back after a database outage.
    """
    grace = get_conf().heartbeat_interval
    parameters: Any = {"pulse_class": PULSE_CLASS, "grace": grace}
    with connection.cursor() as cursor:
        cursor.execute(_MISSING, parameters)
        missing = cursor.fetchall()
        dead = [pulse for pulse, host, pid, silent in missing if (silent and by_silence) or is_gone(host, pid)]
        if not dead:
            return []
        cursor.execute(_END_PROCESSES, {**parameters, "dead": dead})
        return [EndedProcess(*row) for row in cursor.fetchall()]


def find_due_lanes() -> list[str]:
    """Return the lanes in which a due job has waited longer than a nudge should take."""
    return find_due(None, get_conf().heartbeat_interval / 5)
