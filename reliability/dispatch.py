"""Messages leave here: rings and nudges, bounded in time, that may be lost.

Work that became due is told twice. A ring goes first: one small command to Redis, heard at once
by one pool process that waits (``services.jobs.bell``). A nudge, a Celery task, follows a moment
later, for whoever heard no ring. Both leave from threads of their own, so that no request ever
waits for a message broker, and many for one lane within the spacing become one.
"""

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django.db import transaction

from reliability.conf import get_conf
from reliability.redis_client import open_client

RUN_JOBS = "reliability.run_jobs"
EXPIRY_SECONDS = 5
RING_SPACING_SECONDS = 0.005
NUDGE_SPACING_SECONDS = 0.1
NUDGE_DELAY_SECONDS = 0.03
_RING_TIMEOUT_SECONDS = 0.1
_FAILURE_PAUSE_SECONDS = 0.5

logger = logging.getLogger(__name__)


class Courier:
    """Delivers word of lanes from one background thread of the process that made it.

    ``spacing`` is the least time between two deliveries for one lane, ``delay`` the wait before
    the first after a rest. What cannot be delivered is dropped: the row is the truth.
    """

    def __init__(self, name: str, deliver: Callable[[str], None], *, spacing: float, delay: float = 0.0) -> None:
        self._name, self._deliver, self._spacing, self._delay = name, deliver, spacing, delay
        self._due: dict[str, float] = {}
        self._changed = threading.Condition()
        self._last_sent: dict[str, float] = {}
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def request(self, lane: str) -> None:
        with self._changed:
            if lane not in self._due:
                rested = self._last_sent.get(lane, -math.inf) + self._spacing
                self._due[lane] = max(rested, time.monotonic() + self._delay)
                self._changed.notify()

    def _take(self) -> str:
        """Wait for the lane that is due first, and take it."""
        with self._changed:
            while True:
                now = time.monotonic()
                lane = min(self._due, key=self._due.__getitem__, default=None)
                if lane is not None and self._due[lane] <= now:
                    del self._due[lane]
                    self._last_sent[lane] = now
                    return lane
                self._changed.wait(None if lane is None else self._due[lane] - now)

    def _run(self) -> None:
        while True:
            lane = self._take()
            try:
                self._deliver(lane)
            except Exception as error:  # any transport may fail in its own way
                logger.warning("not delivered", extra={"courier": self._name, "lane": lane, "error": repr(error)})
                time.sleep(_FAILURE_PAUSE_SECONDS)


class Nudger:
    """The couriers of one process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        nudges = Courier("nudger", send_nudge, spacing=NUDGE_SPACING_SECONDS, delay=NUDGE_DELAY_SECONDS)
        self._couriers = [nudges]
        if get_conf().redis_url:
            self._couriers.insert(0, Courier("ringer", Ringer().ring, spacing=RING_SPACING_SECONDS))

    def request(self, lane: str) -> None:
        for courier in self._couriers:
            courier.request(lane)


def bell_key(lane: str) -> str:
    """Return the list in Redis whose one element, if it is there, says that the lane may have due work."""
    return f"stanchion:bell:{lane}"


class Ringer:
    """Rings bells over a connection of its own."""

    def __init__(self) -> None:
        self._client = open_client(
            get_conf().redis_url,
            socket_timeout=_RING_TIMEOUT_SECONDS,
            socket_connect_timeout=_RING_TIMEOUT_SECONDS,
        )

    def ring(self, lane: str) -> None:
        """Let one process that waits for ``lane`` look at it; a ring nobody waits for is kept for a while, once."""
        key = bell_key(lane)
        with self._client.pipeline(transaction=False) as commands:
            commands.lpush(key, 1)
            commands.ltrim(key, 0, 0)
            commands.expire(key, EXPIRY_SECONDS)
            commands.execute()


def send_nudge(lane: str) -> None:
    send_task(RUN_JOBS, {"lane": lane}, queue=lane, expires=EXPIRY_SECONDS)


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
