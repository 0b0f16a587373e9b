"""What apps have looked at by the one sentinel that leads, beside its own work."""

import logging
import threading
import time
from collections.abc import Callable

from django.db import DatabaseError, InterfaceError, connections

from reliability.core.looks import TICK_SECONDS, Rounds
from reliability.services.alert_evaluation import evaluate

logger = logging.getLogger(__name__)

Watch = Callable[[], None]
_WATCHES: dict[Watch, tuple[str, ...]] = {}


def add_watch(watch: Watch, *conditions: str) -> None:
    """Have ``watch`` called in one process, to judge alert ``conditions``; call it as the app starts.

    ``core.looks`` says how often. It may raise ``DatabaseError`` and is then called again. What it must know of
    before, it keeps in rows: another process may lead the next time.
    """
    _WATCHES.setdefault(watch, conditions)


def look_once(rounds: Rounds | None = None) -> None:
    """Do every watch that is due once; without ``rounds`` all are.

    Raises ``DatabaseError`` when the database is away; one that fails stops no other.
    """
    rounds, now = rounds or Rounds(), time.monotonic()
    for watch, conditions in _WATCHES.items():
        if rounds.is_due(watch.__name__, now):
            evaluate(watch, conditions)


class Watcher:
    """Does the watches while it leads, in a thread of its own: a slow one delays no rescue."""

    def __init__(self) -> None:
        self.leads = False
        self._rounds = Rounds()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        while not self._stop.wait(TICK_SECONDS):
            if self.leads:
                self._look()
            else:
                self._rounds.forget()
        connections.close_all()

    def _look(self) -> None:
        try:
            look_once(self._rounds)
        except (DatabaseError, InterfaceError) as error:
            self._rounds.forget()
            logger.warning("nothing can be watched for now", extra={"error": str(error).strip()})
            connections.close_all()
