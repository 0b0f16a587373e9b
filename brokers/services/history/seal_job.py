"""The scheduled job that seals what was appended, when orders leave it the time."""

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from django.db.models import Min
from django.utils import timezone

from brokers.models import SealCursor
from brokers.services.history.sealing import BATCH, seal_appended
from reliability.core.jobs import ClaimedJob, Disposition, Done, Performed
from reliability.selectors.jobs import is_lane_behind
from reliability.services.jobs.kinds import JobKind, Prepared

SEAL_KIND = "history.seal"
# Orders come first: while they wait, sealing does, but never for longer than this.
LONGEST_LAG = timedelta(minutes=1)
_BEHIND = timedelta(milliseconds=500)
_LONGEST_PASS_SECONDS = 0.5


class SealHistoryJob(JobKind):
    """On schedule: seal and anchor, in batches; one batch at most while orders wait."""

    name: ClassVar[str] = SEAL_KIND
    lane: ClassVar[str] = "default"

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        seal_due()
        return {job.id: Done() for job in jobs}

    async def perform(self, request: object) -> None:
        raise AssertionError("there is no call: prepare does it all")

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        raise AssertionError("there is no call: prepare does it all")


def seal_due() -> int:
    """Seal what may be sealed now; returns how many rows.

    Nothing while orders wait and the seals are not a minute behind; one batch if they are;
    otherwise batches for half a second, or until all is sealed.
    """
    busy = is_lane_behind("orders", _BEHIND)
    if busy and not _lags():
        return 0
    began, sealed = time.monotonic(), 0
    while True:
        rows = seal_appended()
        sealed += rows
        if rows < BATCH or busy or time.monotonic() - began > _LONGEST_PASS_SECONDS:
            return sealed


def _lags() -> bool:
    """Return whether some ledger was not sealed to its end for longer than ``LONGEST_LAG``."""
    oldest = SealCursor.objects.aggregate(at=Min("caught_up_at"))["at"]
    return oldest is None or timezone.now() - oldest > LONGEST_LAG
