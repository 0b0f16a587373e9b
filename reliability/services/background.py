"""The thread of a process that writes what was noted and reads what has changed, away from every call."""

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable

from django.db import DatabaseError, close_old_connections, connections

INTERVAL_SECONDS = 1.0

logger = logging.getLogger(__name__)

Duty = Callable[[], None]


class Background:
    """Runs duties once a second, soon after ``wake``, in a daemon thread that starts with the first need.

    A duty that meets ``DatabaseError`` is tried again a second later and must keep what it could not
    write. The thread's connection is closed whenever the database failed. A fork begins without it.
    """

    def __init__(self) -> None:
        self._duties: list[Duty] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        os.register_at_fork(after_in_child=self._begin_anew)

    def add(self, duty: Duty) -> None:
        """Have ``duty`` done from now on; it starts no thread."""
        if duty not in self._duties:
            self._duties.append(duty)

    def start(self) -> None:
        """Start the thread of this process unless it runs."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="background", daemon=True)
                self._thread.start()
                atexit.register(self.stop)

    def wake(self) -> None:
        """Have the duties done at the next whole interval, within a second."""
        if self._thread is None:
            self.start()

    def hurry(self) -> None:
        """Have the duties done at once."""
        self.wake()
        self._wanted.set()

    def stop(self) -> None:
        """Do every duty once more, then end."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set()
            self._wanted.set()
            thread.join(timeout=5)
            self._stopping = threading.Event()

    def run_once(self) -> bool:
        """Do every duty in the calling thread; returns whether all were done."""
        results = [self._do(duty) for duty in self._duties]
        return all(results)

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._wanted = threading.Event()
        self._thread = None

    def _run(self) -> None:
        stopping = self._stopping
        failed_at = 0.0
        while True:
            if not self.run_once():
                connections.close_all()
                if not failed_at:
                    logger.warning("nothing can be written for now; it is kept")
                failed_at = failed_at or time.monotonic()
            elif failed_at:
                logger.warning("writing again", extra={"seconds": round(time.monotonic() - failed_at, 1)})
                failed_at = 0.0
            self._wanted.wait(INTERVAL_SECONDS)
            self._wanted.clear()
            if stopping.is_set():
                break
            close_old_connections()
        self.run_once()
        connections.close_all()

    def _do(self, duty: Duty) -> bool:
        try:
            duty()
        except DatabaseError:
            return False
        except Exception:
            logger.exception("a background duty failed", extra={"duty": getattr(duty, "__qualname__", str(duty))})
        return True


background = Background()
