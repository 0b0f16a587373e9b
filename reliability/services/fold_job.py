"""The scheduled job that brings the counts of ended processes together."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from reliability.core.jobs import ClaimedJob, Disposition, Done, Performed
from reliability.services.jobs.kinds import JobKind, Prepared
from reliability.services.metering import fold_ended

FOLD_KIND = "metrics.fold"


class FoldMetricsJob(JobKind):
    """On schedule: the rows of processes that ended long ago become the common ones."""

    name: ClassVar[str] = FOLD_KIND
    lane: ClassVar[str] = "default"

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        fold_ended()
        return {job.id: Done() for job in jobs}

    async def perform(self, request: object) -> None:
        raise AssertionError("there is no call: prepare does it all")

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        raise AssertionError("there is no call: prepare does it all")
