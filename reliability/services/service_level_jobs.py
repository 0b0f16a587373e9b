"""The scheduled jobs that take samples of service levels and keep fewer of the old ones."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from reliability.core.jobs import ClaimedJob, Disposition, Done, Performed
from reliability.services.jobs.kinds import JobKind, Prepared
from reliability.services.service_level_alerts import evaluate
from reliability.services.service_levels import ensure_levels, sample, thin

SAMPLE_KIND = "service_levels.sample"
THIN_KIND = "service_levels.thin"


class _Scheduled(JobKind):
    lane: ClassVar[str] = "alerts"

    def act(self) -> None:
        raise NotImplementedError

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        self.act()
        return {job.id: Done() for job in jobs}

    async def perform(self, request: object) -> None:
        raise AssertionError("there is no call: prepare does it all")

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        raise AssertionError("there is no call: prepare does it all")


class SampleServicesJob(_Scheduled):
    """Every ten seconds: take samples, and say which budgets burn."""

    name: ClassVar[str] = SAMPLE_KIND

    def act(self) -> None:
        ensure_levels()
        sample()
        evaluate()


class ThinSamplesJob(_Scheduled):
    """Every hour: keep fewer samples of what is long ago."""

    name: ClassVar[str] = THIN_KIND

    def act(self) -> None:
        thin()
