"""The watch: one leader hands on lost work, nudges what waits, and notices processes that end."""

import logging
import threading
import time

from django.db import connection, transaction

from reliability import dispatch
from reliability.services.alert_conditions import JUDGES
from reliability.services.alert_evaluation import mark_data, mark_no_data
from reliability.services.alert_keeper import AlertKeeper
from reliability.services.alert_thresholds import read_thresholds
from reliability.services.alerting import Raising, follow_condition, raise_alerts
from reliability.services.circuit_records import CircuitKeeper
from reliability.services.jobs.execution import DatabaseUnavailable
from reliability.services.jobs.rescue import (
    EndedProcess,
    end_dead_processes,
    find_due_lanes,
    look_for_lost,
    rescue_lost_jobs,
)
from reliability.services.pulse import SENTINEL_SLOT, Pulse, Slot
from reliability.services.servers_away import tell_away
from reliability.services.watches import Watcher

_INTERVAL_SECONDS = 0.05  # a process that died is known within 200 ms, also on a busy machine
_LANES_SECONDS = 0.1
_STANDBY_SECONDS = 0.25
_GRACE_SECONDS = 2.0
_SURELY_IN_TIME_SECONDS = 2.0  # below it nothing is read to find out

logger = logging.getLogger(__name__)


class Sentinel:
    """Runs until ``stop`` is set. Any number may run; the one that holds the slot acts."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._slot = Slot(SENTINEL_SLOT, "sentinel")
        self._keeper = CircuitKeeper()
        self._alerts = AlertKeeper()
        self._watcher = Watcher()
        self._trust_pulses_at = time.monotonic() + _GRACE_SECONDS
        self._away_since = 0.0
        self._next_nudge = 0.0
        self._is_late = True  # so that what an earlier leader told is looked at once

    def run(self, stop: threading.Event) -> None:
        self._keeper.start()
        self._alerts.start()
        self._watcher.start()
        while not stop.is_set():
            leads = self._keeper.leads = self._alerts.leads = self._watcher.leads = self._slot.hold()
            at = self._alerts.evaluated_at
            self._pulse.detail = {"leader": leads} | ({"evaluated_at": at} if at is not None else {})
            if not self._slot.is_reachable:
                self._note_away()
            if leads:
                self._watch()
            stop.wait(_INTERVAL_SECONDS if leads else _STANDBY_SECONDS)
        self._slot.leave()
        self._keeper.stop()
        self._alerts.stop()
        self._watcher.stop()

    def _watch(self) -> None:
        try:
            self._tell_if_away()
            trusts = time.monotonic() >= self._trust_pulses_at
            jobs, processes = look_for_lost(by_pulse=trusts)
            if jobs:
                self._rescue(trusts)
            if processes:
                self._bury(trusts)
            self._tell_if_late()
            self._nudge()
        except DatabaseUnavailable as error:
            logger.warning("the database is away", extra={"error": str(error).strip()})
            connection.close()
            self._slot.leave()
            self._note_away()

    def _note_away(self) -> None:
        """From when the database is back, others take a while to take their pulses again."""
        now = time.monotonic()
        self._away_since = self._away_since or now
        self._trust_pulses_at = now + _GRACE_SECONDS

    def _tell_if_away(self) -> None:
        """Tell that the database was away as soon as it can be written: it explains what comes to light now."""
        if not self._away_since:
            return
        tell_away("database.away", "platform:database", "PostgreSQL", time.monotonic() - self._away_since)
        self._away_since = 0.0

    def _bury(self, trusts: bool) -> None:
        """Mark dead processes, and tell people in the same transaction."""
        with transaction.atomic():
            dead = end_dead_processes(by_silence=trusts)
            raise_alerts([_death(process) for process in dead])
        for process in dead:
            logger.warning("process died", extra={"process_name": process.name, "process_pid": process.pid})

    def _tell_if_late(self) -> None:
        """Tell when alerts are not evaluated any more: who watches is watched by the thread beside it."""
        seconds = self._alerts.late_seconds
        if seconds < _SURELY_IN_TIME_SECONDS and not self._is_late:
            return
        if (seconds > read_thresholds("watch.late")["late_seconds"]) == self._is_late:
            return
        self._is_late = not self._is_late
        text = f"Alerts were not evaluated for {seconds:.0f} seconds."
        present = [Raising("watch.late", "process:sentinel", text)] if self._is_late else []
        judged = [condition for conditions in JUDGES.values() for condition in conditions]
        with transaction.atomic():
            if self._is_late:
                mark_no_data(judged, text)
            else:
                mark_data(judged)
            follow_condition("watch.late", present, reason="they are evaluated again", prefix="process:sentinel")

    def _rescue(self, trusts: bool) -> None:
        """Right after an outage processes are still taking their pulses again: trust leases only."""
        for rescued in rescue_lost_jobs(by_pulse=trusts):
            logger.warning("jobs handed on", extra={"lane": rescued.lane, "state": rescued.state, "jobs": rescued.jobs})
            dispatch.nudge(rescued.lane)

    def _nudge(self) -> None:
        """Nudge the lanes in which work waits that nobody heard of."""
        if (now := time.monotonic()) < self._next_nudge:
            return
        self._next_nudge = now + _LANES_SECONDS
        for lane in find_due_lanes():
            dispatch.nudge(lane)


def _death(process: EndedProcess) -> Raising:
    message = f"The process {process.name} (pid {process.pid}) died."
    details = {"kind": process.kind, "pid": process.pid, "silent_seconds": round(process.silent_seconds, 3)}
    return Raising("process.dead", f"process:{process.name}", message, details=details)
