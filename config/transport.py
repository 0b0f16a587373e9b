"""Redis as Celery reads it, with what is on a queue and no message kept as a dead letter.

kombu takes an entry off its list and decodes it in one step. One that is not a message would end the worker, whatever
else that worker does, and be gone. RabbitMQ has no such entries: what its frames carry is at least a message.
"""

import logging
from queue import Empty
from typing import Any

from kombu.transport import redis
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

_LARGEST_ENTRY_BYTES = 2**20
"""An entry holds its message's body in base64 and its headers; what is larger is not even decoded."""
_NOT_A_MESSAGE = (ValueError, TypeError, LookupError, AttributeError, RecursionError)

logger = logging.getLogger(__name__)


class NotAMessageError(Exception):
    """What stands on a queue is no message; ``code`` is of the error catalogue."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class RecordingChannel(redis.Channel):
    """kombu's channel, recording entries that are no messages."""

    def _brpop_read(self, **options: Any) -> bool:
        """Deliver the entry that has arrived, as kombu does. Raises ``Empty`` when there is none."""
        try:
            found = self._take(**options)
            if not found:
                raise Empty
            queue = bytes_to_str(found[0]).rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)
            try:
                envelope = self._read(found[1])
            except NotAMessageError as error:
                _record(error, queue, found[1])
                return True
            self.connection._deliver(envelope, queue)
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()

    def _has_queue(self, queue: str, **_: Any) -> bool:
        """Tell whether anything waits; kombu asks for a key without our prefix, so every queue looks empty to it."""
        return bool(self._size(queue))

    def _take(self, **options: Any) -> Any:
        try:
            return self.client.parse_response(self.client.connection, "BRPOP", **options)
        except self.connection_errors:
            self.client.connection.disconnect()  # so that the next round connects anew
            raise

    def _deliver_fanout_message(self, message: Any, exchange: str) -> bool:
        """Deliver what is broadcast to workers and kept by nobody: what is no message is only told in the log."""
        try:
            self._require_message(message)
        except _NOT_A_MESSAGE as error:
            logger.warning("a broadcast is no message", extra={"exchange": exchange, "error": repr(error)[:500]})
            return True
        return bool(super()._deliver_fanout_message(message, exchange))

    def _read(self, entry: bytes) -> Any:
        """Decode an entry; raises ``NotAMessageError``."""
        if len(entry) > _LARGEST_ENTRY_BYTES:
            reason = f"The entry has {len(entry)} bytes; {_LARGEST_ENTRY_BYTES} are allowed."
            raise NotAMessageError("SYSTEM_MESSAGE_TOO_LARGE", reason)
        try:
            envelope = loads(bytes_to_str(entry))
            self._require_message(envelope)
        except _NOT_A_MESSAGE as error:
            reason = f"What stands on the queue is no message: {error!r}"
            raise NotAMessageError("SYSTEM_UNREADABLE_MESSAGE", reason) from error
        return envelope

    def _require_message(self, envelope: Any) -> None:
        """Raise what kombu or Celery would stumble over when they take the message in hand."""
        message = self.Message(envelope, channel=self)
        named = [message.delivery_tag, *(message.delivery_info[name] for name in ("exchange", "routing_key"))]
        if not all(isinstance(name, str) for name in named):
            raise TypeError("its tag, exchange and routing key are not texts")
        if not isinstance(message.headers, dict) or not isinstance(message.properties, dict):
            raise TypeError("its headers or properties are not named")


class RecordingTransport(redis.Transport):
    """kombu's transport with that channel."""

    Channel = RecordingChannel


class RecordingSentinelChannel(RecordingChannel, redis.SentinelChannel):
    """The same behind Redis Sentinel: the master is asked for, what it delivers is read as above."""


class RecordingSentinelTransport(redis.SentinelTransport):
    """kombu's transport for Sentinel with that channel."""

    Channel = RecordingSentinelChannel


def _record(error: NotAMessageError, queue: str, entry: bytes) -> None:
    from reliability.tasks.consumer import record_entry  # the models: only workers take messages

    record_entry(error.code, error.reason, queue, entry)
