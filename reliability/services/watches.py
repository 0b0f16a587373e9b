"""What apps have looked at twice a second by the one sentinel that leads, beside its own work."""

import logging
import threading
from collections.abc import Callable

from django.db import DatabaseError, InterfaceError, connections

INTERVAL_SECONDS = 0.5

logger = logging.getLogger(__name__)

Watch = Callable[[], None]
_WATCHES: list[Watch] = []


def add_watch(watch: Watch) -> None:
    """Have ``watch`` called twice a second in one process; call it once, as the app starts.

    It may raise ``DatabaseError`` and is then called again. What it must know of before, it keeps in rows:
    another process may lead the next time.
    """
    if watch not in _WATCHES:
        _WATCHES.append(watch)


def look_once() -> None:
    """Do every watch once. Raises ``DatabaseError``; one that fails otherwise does not stop the others."""
    for watch in _WATCHES:
        try:
            watch()
        except (DatabaseError, InterfaceError):
            raise
        except Exception:
            logger.exception("a watch failed", extra={"watch": getattr(watch, "__qualname__", str(watch))})


class Watcher:
    """Does the watches while it leads, in a thread of its own: a slow one delays no rescue."""

    def __init__(self) -> None:
        self.leads = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_SECONDS):
            if self.leads:
                self._look()
        connections.close_all()

    def _look(self) -> None:
        try:
            look_once()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("nothing can be watched for now", extra={"error": str(error).strip()})
            connections.close_all()
