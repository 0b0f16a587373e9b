"""The pulse of a process: an advisory lock on an idle connection of its own.

The lock is freed by PostgreSQL within milliseconds of the process's death, however it
dies. A heartbeat on the same connection tells a frozen process from a living one.
"""

import atexit
import json
import logging
import os
import socket
import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection

from reliability.conf import get_conf
from reliability.services.own_sessions import REFUSAL, are_shared

PULSE_CLASS = 0x5354  # the first key of every pulse lock; the second is the pulse number
SLOT_CLASS = 0x534C  # the first key of locks that make one of several processes act

_REGISTER = """
INSERT INTO reliability_heartbeat (pulse, kind, name, host, pid, detail, end_reason)
VALUES (%s, %s, %s, %s, %s, %s, '')
ON CONFLICT (pulse) DO UPDATE SET beat_at = clock_timestamp(), ended_at = NULL, end_reason = ''
"""
_MARK_RELEASE = "INSERT INTO reliability_release (name) VALUES (%s) ON CONFLICT (name) DO NOTHING"
_BEAT = "UPDATE reliability_heartbeat SET beat_at = clock_timestamp(), detail = %s WHERE pulse = %s"
_END = """
UPDATE reliability_heartbeat SET ended_at = clock_timestamp(), end_reason = 'stopped'
WHERE pulse = %s AND ended_at IS NULL
"""
# An advisory lock with two keys is shown with objsubid 2.
_EVICT = """
SELECT pg_terminate_backend(lock.pid) FROM pg_locks lock JOIN pg_stat_activity holder ON holder.pid = lock.pid
WHERE lock.locktype = 'advisory' AND lock.classid = %s AND lock.objid = %s AND lock.objsubid = 2 AND lock.granted
  AND lock.database = holder.datid AND holder.datname = current_database()
  AND holder.backend_start < clock_timestamp() - make_interval(secs => %s)
"""
_RETRY_SECONDS = 0.2

logger = logging.getLogger(__name__)


def open_connection(purpose: str) -> psycopg.Connection[Any]:
    """Return a connection of its own, outside Django's, for locks that must not be shared."""
    parameters = {key: value for key, value in connection.get_connection_params().items() if key != "context"}
    for key in ("cursor_factory", "prepare_threshold"):
        parameters.pop(key, None)
    parameters["application_name"] = f"stanchion {purpose}"
    return psycopg.connect(**parameters, autocommit=True)


def is_gone(host: str, pid: int) -> bool:
    """Return whether a process is known to be gone: only of this machine can that be asked."""
    if host != socket.gethostname():
        return False
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat").read_text()
    except ProcessLookupError:
        return True
    except OSError:  # somebody else's, or a machine without /proc: it is there
        return False
    return status.rpartition(")")[2].split()[0] == "Z"  # killed, and its parent has not noticed yet


class SharedSessionError(Exception):
    """The lock of a pulse would not be its own."""


class Pulse:
    """Holds the pulse of this process until ``stop``; reconnects with the same number after an outage.

    Ends the process with one line where the database gives it no session of its own.
    """

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        self.detail: dict[str, Any] = {}
        self.number = 0
        self._stop = threading.Event()
        self._connection: psycopg.Connection[Any] | None = None
        self._is_refused = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._is_refused:
            raise SystemExit(REFUSAL)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        interval = get_conf().heartbeat_interval.total_seconds()
        while True:
            try:
                self._beat()
                stopped = self._stop.wait(interval)
            except psycopg.Error as error:
                logger.warning("pulse interrupted", extra={"process_name": self.name, "error": str(error).strip()})
                self._close()
                stopped = self._stop.wait(_RETRY_SECONDS)
            except SharedSessionError:
                self._is_refused = True
                self._ready.set()
                return
            if stopped:
                break
        with suppress(psycopg.Error):
            if self._connection is not None:
                self._connection.execute(_END, [self.number])
        self._close()

    def _beat(self) -> None:
        if self._connection is None:
            self._open()
        assert self._connection is not None
        self._connection.execute(_BEAT, [json.dumps(self.detail), self.number])

    def _open(self) -> None:
        fresh = open_connection(f"pulse {self.name}")
        if not self.number:
            _require_own_session(fresh)
            row = fresh.execute("SELECT nextval('reliability_pulse')::int").fetchone()
            assert row is not None
            self.number = row[0]
        fresh.execute("SELECT pg_advisory_lock(%s, %s)", [PULSE_CLASS, self.number])
        identity = [self.number, self.kind, self.name, socket.gethostname(), os.getpid(), json.dumps(self.detail)]
        fresh.execute(_REGISTER, identity)
        if get_conf().release:
            fresh.execute(_MARK_RELEASE, [get_conf().release])
        self._connection = fresh
        self._ready.set()

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None


def _require_own_session(fresh: "psycopg.Connection[Any]") -> None:
    with open_connection("session check") as other:
        if are_shared(fresh, other):
            fresh.close()
            raise SharedSessionError(REFUSAL)


_process_pulse: Pulse | None = None


def start_process_pulse(kind: str, name: str) -> Pulse:
    """Start the pulse of this process, once; call it after any fork."""
    global _process_pulse
    if _process_pulse is None:
        _process_pulse = Pulse(kind, name)
        atexit.register(_process_pulse.stop)
    return _process_pulse


class Slot:
    """A place that only one process holds: others stand by until its holder dies or leaves."""

    def __init__(self, number: int, purpose: str) -> None:
        self._number = number
        self._purpose = purpose
        self._connection: psycopg.Connection[Any] | None = None
        self.is_reachable = True

    def hold(self) -> bool:
        """Return whether this process holds the place now, taking it if it is free."""
        try:
            if self._connection is not None:
                self._connection.execute("SELECT 1")
                self.is_reachable = True
                return True
            fresh = open_connection(f"slot {self._purpose}")
            self.is_reachable = True
            row = fresh.execute("SELECT pg_try_advisory_lock(%s, %s)", [SLOT_CLASS, self._number]).fetchone()
        except psycopg.Error as error:
            logger.warning("slot not held", extra={"slot": self._purpose, "error": str(error).strip()})
            self.is_reachable = False
            self.leave()
            return False
        if row is None or not row[0]:
            fresh.close()
            return False
        self._connection = fresh
        return True

    def evict(self, at_least: timedelta) -> bool:
        """Take the place away from whoever has held it for so long, and return whether anybody had.

        For a holder that is stopped, not dead: it finds out when it looks again.
        """
        with connection.cursor() as cursor:
            cursor.execute(_EVICT, [SLOT_CLASS, self._number, at_least.total_seconds()])
            return bool(cursor.fetchall())

    def leave(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None


SENTINEL_SLOT = 1
BEAT_SLOT = 2
STREAM_SLOT_BASE = 1000
