"""The scheduled job of upkeep. Its work takes longer than a transaction should, so it has a connection of its own."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from django.db import connection

from reliability.core.jobs import ClaimedJob, Disposition, Done, JobError, Performed, Retry
from reliability.services.jobs.kinds import JobKind, Prepared
from reliability.services.retention.upkeep import run_upkeep

UPKEEP_KIND = "retention.upkeep"


class UpkeepJob(JobKind):
    """Partitions for the coming days; what is old enough exported and dropped. What fails is in the policy's row."""

    name: ClassVar[str] = UPKEEP_KIND
    lane: ClassVar[str] = "default"
    timeout: ClassVar[timedelta] = timedelta(minutes=15)

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        return {job.id: "upkeep" for job in jobs}

    async def perform(self, request: object) -> None:
        await asyncio.to_thread(_run)

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        return {outcome.job.id: _disposition(outcome) for outcome in outcomes}


def _run() -> None:
    try:
        run_upkeep(actor="upkeep")
    finally:
        connection.close()  # this thread's own


def _disposition(outcome: Performed) -> Disposition:
    if outcome.error is None:
        return Done()
    return Retry(JobError("SYSTEM_UNEXPECTED", f"Upkeep did not end: {outcome.error!r}"[:1000]))
