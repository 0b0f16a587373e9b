"""Replaying a Celery message that once failed: it is published again under its task name."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from reliability import dispatch
from reliability.core.jobs import ClaimedJob, Dead, Disposition, Done, JobError, Performed
from reliability.services.jobs.deadletters import MESSAGE_KIND
from reliability.services.jobs.execution import failure_disposition
from reliability.services.jobs.kinds import JobKind, Prepared

_UNREADABLE = Dead(JobError("SYSTEM_UNREADABLE_MESSAGE", "There is no readable task in it to send again."))


class CeleryMessageJob(JobKind):
    name: ClassVar[str] = MESSAGE_KIND
    lane: ClassVar[str] = "default"

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        return {job.id: self._request(job) for job in jobs}

    async def perform(self, request: Any) -> None:
        task, args, kwargs, queue = request
        await asyncio.to_thread(dispatch.send_task, task, kwargs, queue=queue, args=args)

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        return {
            outcome.job.id: Done() if outcome.error is None else failure_disposition(outcome) for outcome in outcomes
        }

    def _request(self, job: ClaimedJob) -> Prepared:
        task, args, kwargs = (job.payload.get(name) for name in ("task", "args", "kwargs"))
        if not isinstance(task, str) or not isinstance(kwargs, dict):
            return _UNREADABLE
        return task, args if isinstance(args, list) else [], kwargs, str(job.payload.get("queue") or "default")
