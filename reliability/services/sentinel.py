"""The watch: one leader hands on lost work, nudges what waits, and notices processes that end."""

import logging
import threading
import time

from django.db import connection

from reliability import dispatch
from reliability.services.circuit_records import CircuitKeeper
from reliability.services.jobs.execution import DatabaseUnavailable
from reliability.services.jobs.rescue import end_dead_processes, find_due_lanes, rescue_lost_jobs
from reliability.services.pulse import SENTINEL_SLOT, Pulse, Slot

_INTERVAL_SECONDS = 0.1
_STANDBY_SECONDS = 0.25
_GRACE_SECONDS = 2.0

logger = logging.getLogger(__name__)


class Sentinel:
    """Runs until ``stop`` is set. Any number may run; the one that holds the slot acts."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._slot = Slot(SENTINEL_SLOT, "sentinel")
        self._keeper = CircuitKeeper()
        self._trust_pulses_at = time.monotonic() + _GRACE_SECONDS

    def run(self, stop: threading.Event) -> None:
        self._keeper.start()
        while not stop.is_set():
            leads = self._keeper.leads = self._slot.hold()
            self._pulse.detail = {"leader": leads}
            if leads:
                self._watch()
            stop.wait(_INTERVAL_SECONDS if leads else _STANDBY_SECONDS)
        self._slot.leave()
        self._keeper.stop()

    def _watch(self) -> None:
        try:
            self._rescue()
            for process in end_dead_processes():
                logger.warning("process died", extra={"process_name": process.name, "process_pid": process.pid})
            for lane in find_due_lanes():
                dispatch.nudge(lane)
        except DatabaseUnavailable as error:
            logger.warning("the database is away", extra={"error": str(error).strip()})
            connection.close()
            self._slot.leave()
            self._trust_pulses_at = time.monotonic() + _GRACE_SECONDS

    def _rescue(self) -> None:
        """Right after an outage processes are still taking their pulses again: trust leases only."""
        for rescued in rescue_lost_jobs(by_pulse=time.monotonic() >= self._trust_pulses_at):
            logger.warning("jobs handed on", extra={"lane": rescued.lane, "state": rescued.state, "jobs": rescued.jobs})
            dispatch.nudge(rescued.lane)
