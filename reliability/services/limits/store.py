"""The way to the limits all processes share: never slow, never an error for the caller, quiet while Redis is away."""

import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import redis

from reliability.conf import get_conf
from reliability.redis_client import open_client
from reliability.services.limits.forks import tell_of_forks

TRIP_SECONDS = 0.05
CHANNEL = "stanchion:limits:pauses"
_AWAY_PAUSE_SECONDS = 0.2
_LISTEN_SECONDS = 0.1
_FLUSH_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Kept(Protocol):
    """What a store looks after in the background."""

    name: str

    def flush(self) -> None:
        """Tell Redis what was counted here."""

    def hear_pause(self, seconds: float) -> None:
        """Another process was told to slow down."""


class LimitStore:
    """Runs scripts in Redis for one process, and hears from other processes in a thread of its own.

    A trip takes at most ``TRIP_SECONDS``. After the first failure no call tries again: the thread
    finds out when Redis is back, so an outage costs each caller one short wait at most. The thread
    starts with the first trip, after a fork anew. With a blank ``url`` each process is alone for good.
    """

    def __init__(self, url: str) -> None:
        self._has_server = bool(url)
        self._client = _client(url, TRIP_SECONDS)
        self._listening = _client(url, 1.0)
        self._scripts: dict[str, Any] = {}
        self._kept: weakref.WeakSet[Kept] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self.is_away = not url
        self.errors = 0
        tell_of_forks(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = None
        self.is_away = not self._has_server

    def keep(self, kept: Kept) -> None:
        """Flush ``kept`` every second and let it hear pauses, as long as it lives."""
        with self._lock:
            self._kept.add(kept)

    def run(self, script: str, keys: Sequence[str], args: Sequence[Any]) -> list[int] | None:
        """Run ``script`` and return its numbers, or None when Redis is away; never raises for that."""
        if self._thread is None and self._has_server:
            self._start()
        if self.is_away:
            return None
        try:
            reply: list[int] = self._script(script)(keys=list(keys), args=list(args))
        except redis.RedisError as error:
            self._note_outage(error)
            return None
        return reply

    def close(self) -> None:
        """End the thread and give the connections back."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=2)
        self._client.close()
        self._listening.close()

    def _script(self, text: str) -> Any:
        script = self._scripts.get(text)
        if script is None:
            script = self._scripts[text] = self._client.register_script(text)
        return script

    def _note_outage(self, error: Exception) -> None:
        self.errors += 1
        if not self.is_away:
            self.is_away = True
            logger.warning("shared limits are away; this process keeps its share", extra={"error": repr(error)})

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name="limits", daemon=True)
                self._thread.start()

    def _listen(self) -> None:
        """Hear pauses and flush counts; when Redis is away, ask again until it answers."""
        while not self._stopped.is_set():
            try:
                self._client.ping()
                if self.is_away:
                    self.is_away = False
                    logger.info("shared limits are back")
                self._serve()
            except redis.RedisError as error:
                self._note_outage(error)
                self._stopped.wait(_AWAY_PAUSE_SECONDS)

    def _serve(self) -> None:
        next_flush = time.monotonic() + _FLUSH_SECONDS
        with self._listening.pubsub(ignore_subscribe_messages=True) as pubsub:  # type: ignore[no-untyped-call]  # redis-py
            pubsub.subscribe(CHANNEL)
            while not self._stopped.is_set() and not self.is_away:
                message = pubsub.get_message(timeout=_LISTEN_SECONDS)
                if message is not None:
                    self._hear(message["data"])
                if time.monotonic() >= next_flush:
                    next_flush = time.monotonic() + _FLUSH_SECONDS
                    self._for_each(lambda kept: kept.flush())

    def _hear(self, data: bytes) -> None:
        name, _, left = data.decode(errors="replace").rpartition("|")
        if not left.isdigit():
            logger.warning("unreadable message about limits", extra={"received": repr(data[:100])})
            return
        seconds = int(left) / 1_000_000
        self._for_each(lambda kept: kept.hear_pause(seconds) if kept.name == name else None)

    def _for_each(self, act: Callable[[Kept], None]) -> None:
        with self._lock:
            everything = list(self._kept)
        for kept in everything:
            act(kept)


def _client(url: str, seconds: float) -> "redis.Redis":
    return open_client(url or "redis://", socket_timeout=seconds, socket_connect_timeout=seconds)


_store: LimitStore | None = None
_store_lock = threading.Lock()


def get_store() -> LimitStore:
    """Return this process's store; made on first use."""
    global _store
    if _store is None:
        with _store_lock:
            if _store is None:
                _store = LimitStore(get_conf().redis_url)
    return _store
