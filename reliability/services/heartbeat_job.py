"""The dead man's switch: while alerts are evaluated and work is done, somebody outside hears of it every minute.

It is a job, so that hearing of it proves the scheduler, the sentinel, a worker and the network; silence proves that
one of them is away. Nothing is sent while the evaluation of alerts is late, messages fail, or somebody is not told
who should be.
"""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from django.db import connection

from reliability.conf import get_conf
from reliability.core.jobs import ClaimedJob, Disposition, Done, JobError, Performed, Retry
from reliability.core.retry import RetryPolicy
from reliability.services.escalation_audit import find_problems
from reliability.services.jobs.kinds import JobKind, Prepared

HEARTBEAT_KIND = "alerts.heartbeat"
_TIMEOUT_SECONDS = 5
_TROUBLE = ("watch.late", "delivery.failing", "beat.late", "lane.late", "escalation.stuck")


class HeartbeatJob(JobKind):
    """On schedule, once a minute."""

    name: ClassVar[str] = HEARTBEAT_KIND
    lane: ClassVar[str] = "alerts"
    retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=3, delay_initial=timedelta(seconds=2))
    timeout: ClassVar[timedelta] = timedelta(seconds=7)

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        address = get_conf().heartbeat_url
        return {job.id: address if address and not _troubles() else Done() for job in jobs}

    async def perform(self, request: str) -> str:
        return await asyncio.to_thread(_ask, request)

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        return {outcome.job.id: _disposition(outcome) for outcome in outcomes}


def _troubles() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM reliability_alert WHERE resolved_at IS NULL AND condition = ANY(%s))",
            [list(_TROUBLE)],
        )
        told = bool(cursor.fetchone()[0])
    return told or bool(find_problems())  # also when the audit itself does not run


def _ask(address: str) -> str:
    """Return what went wrong, or an empty string. The address comes from the installation's own settings."""
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310  # http and https alone are read
            answer.read(100)
    except (urllib.error.URLError, OSError) as error:
        return str(error)[:300]
    return ""


def _disposition(outcome: Performed) -> Disposition:
    problem = repr(outcome.error)[:300] if outcome.error is not None else outcome.result
    if not problem:
        return Done()
    error = JobError("SYSTEM_DELIVERY_FAILED", f"The outside heartbeat was not heard: {problem}")
    return Retry(error) if outcome.job.attempt < outcome.job.max_attempts else Done()
