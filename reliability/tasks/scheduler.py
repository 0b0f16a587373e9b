"""Beat: any number of processes, one acts; and a due job is a row, not a message."""

import json
import logging
import time
from typing import Any

from django.db import close_old_connections
from django_celery_beat.schedulers import DatabaseScheduler

from reliability.services.jobs.enqueue import NewJob, enqueue_job
from reliability.services.pulse import BEAT_SLOT, Slot, start_process_pulse

ENQUEUE_JOB = "reliability.enqueue_job"
_STANDBY_SECONDS = 0.5

logger = logging.getLogger(__name__)


class StandbyScheduler(DatabaseScheduler):
    """The database scheduler, ticking only while this process holds beat's slot.

    A periodic task named ``reliability.enqueue_job`` (arguments ``kind``, ``payload``,
    ``unique_key``) becomes a job row directly, so that a schedule needs no message broker
    and a second firing for the same unfinished work changes nothing.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._slot = Slot(BEAT_SLOT, "beat")
        self._leads = False
        self._pulse = None if kwargs.get("lazy") else start_process_pulse("beat", "beat")
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        leads = self._slot.hold()
        if leads and not self._leads:
            logger.info("beat leads")
            close_old_connections()
            self._initial_read = True
            self._heap = None
        self._leads = leads
        if self._pulse is not None:
            self._pulse.detail = {"leader": leads, **({"ticked_at": time.time()} if leads else {})}
        if not leads:
            return _STANDBY_SECONDS
        return float(super().tick(*args, **kwargs))

    def apply_async(self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:
        if entry.task != ENQUEUE_JOB:
            return super().apply_async(entry, producer=producer, advance=advance, **kwargs)
        if advance:
            entry = self.reserve(entry)
        arguments = entry.kwargs if isinstance(entry.kwargs, dict) else json.loads(entry.kwargs)
        enqueue_job(
            arguments["kind"],
            NewJob(payload=arguments.get("payload", {}), unique_key=arguments.get("unique_key")),
        )
        return None
