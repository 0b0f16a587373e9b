"""The ear of one pool process: hears at once when work of its lanes became due.

A ring is an element of a list in Redis that ``dispatch`` puts there; of all the processes that
wait for a lane, one takes it. Lost rings cost latency only: runners also look by themselves.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import redis

from reliability.dispatch import bell_key
from reliability.redis_client import open_client

_WAIT_SECONDS = 1
_ANSWER_SECONDS = 3.0
_CONNECT_SECONDS = 1.0
_AWAY_PAUSE_SECONDS = 0.2

logger = logging.getLogger(__name__)


class Bell:
    """Calls ``wake(lane)`` for each ring, from a thread of its own; with a blank ``url`` it hears nothing.

    Attributes:
        hears: Whether the last wait was answered; until then a runner has to look for itself.
    """

    def __init__(self, url: str, lanes: Sequence[str], wake: Callable[[str], None]) -> None:
        self.hears = False
        self._wake = wake
        self._lanes = {bell_key(lane).encode(): lane for lane in lanes}
        self._stopped = threading.Event()
        self._client = open_client(
            url or "redis://", socket_timeout=_ANSWER_SECONDS, socket_connect_timeout=_CONNECT_SECONDS
        )
        if url:
            threading.Thread(target=self._run, name="bell", daemon=True).start()

    def stop(self) -> None:
        """Take no further ring; one that arrives within the next second may still be taken, and is passed on."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except redis.RedisError as error:
                if self.hears:
                    self.hears = False
                    logger.warning("the bell is away; this process looks for work itself", extra={"error": repr(error)})
                self._stopped.wait(_AWAY_PAUSE_SECONDS)
        self._client.close()

    def _listen(self) -> None:
        rung: Any = self._client.blpop(list(self._lanes), timeout=_WAIT_SECONDS)
        self.hears = True
        if rung is None:
            return
        if self._stopped.is_set():
            self._client.lpush(rung[0], 1)
            return
        self._wake(self._lanes[rung[0]])
