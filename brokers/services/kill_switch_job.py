"""The job behind a kill switch: it looks for orders to cancel until the switch is released."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from brokers.models import KillSwitch
from brokers.selectors.kill_switch import open_orders
from brokers.services.kill_switch import CHUNK, STOP_KIND, stop_orders
from reliability.core.jobs import ClaimedJob, Disposition, Done, Performed, Snooze
from reliability.services.jobs.kinds import JobKind, Prepared

_SOON = timedelta(milliseconds=500)
_IDLE = timedelta(seconds=5)


class StopOrdersJob(JobKind):
    """It outlives the last open order: one that was being accepted as the switch came, or that a broker
    shows late, is found and canceled too."""

    name: ClassVar[str] = STOP_KIND
    lane: ClassVar[str] = "recovery"  # beside jobs that lock orders after their calls only

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        return {job.id: self._look(int(job.payload["switch"])) for job in jobs}

    async def perform(self, request: object) -> None:
        raise AssertionError("there is no call: prepare does it all")

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        raise AssertionError("there is no call: prepare does it all")

    def _look(self, switch_id: int) -> Disposition:
        switch = KillSwitch.objects.get(pk=switch_id)
        if switch.released_at is not None:
            return Done()
        if stop_orders(switch_id) >= CHUNK:
            return Snooze(timedelta(0))
        return Snooze(_SOON if open_orders(switch).exists() else _IDLE)
