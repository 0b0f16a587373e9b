"""The thread that hears of changes other processes made, on a connection of its own."""

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import redis

from reliability.services.circuits.store import CHANNEL, connect

_RETRY_SECONDS = 0.1
_WAIT_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Listener:
    """Calls ``hear`` with each message, and ``look`` whenever messages may have been missed."""

    def __init__(self, url: str, hear: Callable[[dict[str, Any]], None], look: Callable[[], None]) -> None:
        self._url, self._hear, self._look = url, hear, look
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="circuit-listener", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread within a second; nobody waits for it."""
        self._is_stopping = True

    def _run(self) -> None:
        while not self._is_stopping:
            client = connect(self._url, None)
            try:
                self._listen(client)
            except (redis.RedisError, OSError) as error:
                logger.debug("listening for circuits was interrupted", extra={"error": str(error)})
                time.sleep(_RETRY_SECONDS)  # the link reports the outage
            finally:
                client.close()

    def _listen(self, client: "redis.Redis") -> None:
        with client.pubsub() as subscription:  # type: ignore[no-untyped-call]  # redis-py leaves it out
            subscription.subscribe(CHANNEL)
            while not self._is_stopping:
                message = subscription.get_message(timeout=_WAIT_SECONDS)
                if message is None:
                    continue
                if message["type"] == "subscribe":
                    self._look()  # subscribed first, read second: no gap between
                elif message["type"] == "message":
                    self._take(message["data"])

    def _take(self, data: str) -> None:
        try:
            self._hear(json.loads(data))
        except (ValueError, KeyError, TypeError):
            logger.exception("a message about a circuit could not be read")
