"""The job that keeps a checkpoint of each position once a day."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from django.utils import timezone

from brokers.services.holdings import take_checkpoints
from reliability.core.jobs import ClaimedJob, Disposition, Done, Performed
from reliability.services.jobs.kinds import JobKind, Prepared

CHECKPOINT_KIND = "positions.checkpoint"


class CheckpointJob(JobKind):
    """Looks at the last three days that are over, so that a day on which nothing ran is made up for."""

    name: ClassVar[str] = CHECKPOINT_KIND
    lane: ClassVar[str] = "default"

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
        for days in (2, 1, 0):
            end = midnight - timedelta(days=days)
            take_checkpoints((end - timedelta(days=1)).date(), end)
        return {job.id: Done() for job in jobs}

    async def perform(self, request: object) -> None:
        raise AssertionError("there is no call: prepare does it all")

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        raise AssertionError("there is no call: prepare does it all")
