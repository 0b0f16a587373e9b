"""Messages leave here: nudges, bounded in time, that may be lost.

A nudge is published by a thread of its own, so that no request ever waits for a message
broker. Many nudges for one lane within ``SPACING_SECONDS`` become one; the first after a
rest goes at once.
"""

import logging
import os
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from django.db import transaction

RUN_JOBS = "reliability.run_jobs"
SPACING_SECONDS = 0.02
EXPIRY_SECONDS = 5
_FAILURE_PAUSE_SECONDS = 0.5

logger = logging.getLogger(__name__)


class Nudger:
    """Publishes nudges from one background thread of the process that made it."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._wanted: set[str] = set()
        self._changed = threading.Condition()
        self._last_sent: dict[str, float] = {}
        threading.Thread(target=self._run, name="nudger", daemon=True).start()

    def request(self, lane: str) -> None:
        with self._changed:
            if lane not in self._wanted:
                self._wanted.add(lane)
                self._changed.notify()

    def _take(self) -> str:
        """Wait for a lane that is wanted and rested, and take it."""
        with self._changed:
            while True:
                now = time.monotonic()
                rests = {lane: self._last_sent.get(lane, 0.0) + SPACING_SECONDS - now for lane in self._wanted}
                ready = [lane for lane, rest in rests.items() if rest <= 0]
                if ready:
                    self._wanted.discard(ready[0])
                    self._last_sent[ready[0]] = now
                    return ready[0]
                self._changed.wait(min(rests.values()) if rests else None)

    def _run(self) -> None:
        while True:
            lane = self._take()
            try:
                send_task(RUN_JOBS, {"lane": lane}, queue=lane, expires=EXPIRY_SECONDS)
            except Exception as error:  # any transport may fail in its own way; the row is the truth
                logger.warning("nudge not sent", extra={"lane": lane, "error": repr(error)})
                time.sleep(_FAILURE_PAUSE_SECONDS)


_nudger: Nudger | None = None
_nudger_lock = threading.Lock()


def send_task(
    name: str, kwargs: dict[str, Any], *, queue: str, args: Sequence[Any] = (), expires: float | None = None
) -> None:
    """Publish one task by name; raises whatever the transport raises."""
    from celery import current_app

    current_app.send_task(
        name, args=list(args), kwargs=kwargs, queue=queue, expires=expires, ignore_result=True, retry=False
    )


def nudge(lane: str) -> None:
    """Ask the workers of ``lane`` to look for due jobs now; returns at once."""
    global _nudger
    if _nudger is None or _nudger.pid != os.getpid():
        with _nudger_lock:
            if _nudger is None or _nudger.pid != os.getpid():
                _nudger = Nudger()
    _nudger.request(lane)


def nudge_on_commit(lane: str) -> None:
    """Nudge ``lane`` once the current transaction commits."""
    transaction.on_commit(partial(nudge, lane), robust=True)


def queue_depths(lanes: Sequence[str]) -> dict[str, int]:
    """Return how many messages wait in the queue of each lane; raises whatever the transport raises."""
    from celery import current_app

    depths = {}
    with current_app.connection_for_read() as link:
        for lane in lanes:
            with link.channel() as channel:
                try:
                    depths[lane] = int(channel.queue_declare(queue=lane, passive=True).message_count)
                except link.channel_errors:  # a queue nobody has used yet; Redis knows no empty ones
                    depths[lane] = 0
    return depths
