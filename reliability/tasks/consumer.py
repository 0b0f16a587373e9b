"""Messages that cannot become a task land among the dead letters instead of vanishing."""

import logging
from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer
from django.db import DatabaseError

from reliability.core.scrubbing import scrubbed_text
from reliability.services.jobs.deadletters import record_dead_message

_SHOWN_BYTES = 2000
# What Celery raises for a message that decodes, but to something of another shape than a task. It
# would end the worker, and the message, not acknowledged, would end the next one.
_SHAPE_ERRORS = (TypeError, ValueError, LookupError, AttributeError)

logger = logging.getLogger(__name__)


class RecordingConsumer(Consumer):
    """Celery's consumer, recording what it would only log."""

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        _record("SYSTEM_UNKNOWN_TASK", f"No worker knows this task: {message.headers.get('task')}", message)
        super().on_unknown_task(body, message, exc)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        _record("SYSTEM_UNREADABLE_MESSAGE", "The message names no task.", message)
        super().on_unknown_message(body, message)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        _record("SYSTEM_UNREADABLE_MESSAGE", f"The message is not a valid task: {exc}", message)
        super().on_invalid_task(body, message, exc)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        _record("SYSTEM_UNREADABLE_MESSAGE", f"The message cannot be decoded: {exc}", message)
        super().on_decode_error(message, exc)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        handle = super().create_task_handler(*args, **kwargs)
        largest = self.app.conf.stanchion_largest_message_bytes

        def on_task_received(message: Any) -> Any:
            size = len(message.body or b"")
            if size > largest:
                _record("SYSTEM_MESSAGE_TOO_LARGE", f"The message has {size} bytes; {largest} are allowed.", message)
                return message.ack_log_error(logger, self.connection_errors)
            try:
                return handle(message)
            except _SHAPE_ERRORS as error:
                if message.acknowledged:
                    raise
                return self.on_invalid_task(None, message, error)

        return on_task_received


def record_entry(code: str, reason: str, queue: str, entry: bytes) -> None:
    """Keep what stood on a queue and is not even a message."""
    _keep(code, reason, {"queue": queue, **_excerpt(entry)})


def _record(code: str, reason: str, message: Any) -> None:
    headers = message.headers if isinstance(message.headers, dict) else {}
    body = message.body if isinstance(message.body, bytes) else str(message.body or "").encode(errors="replace")
    detail: dict[str, Any] = {
        "task": headers.get("task"),
        "task_id": headers.get("id"),
        "content_type": message.content_type,
        "queue": (message.delivery_info or {}).get("routing_key"),
        **_excerpt(body),
    }
    detail.update(_readable_arguments(message))
    _keep(code, reason, detail)


def _excerpt(data: bytes) -> dict[str, Any]:
    """Return the beginning of what cannot be read, for a person to look at, without what looks like a secret."""
    text = data[:_SHOWN_BYTES].decode(errors="replace").replace("\x00", "\\x00")
    return {"body": scrubbed_text(text), "size": len(data)}


def _keep(code: str, reason: str, detail: dict[str, Any]) -> None:
    """Keep a dead letter; with the database away only the log has it."""
    try:
        record_dead_message(code, scrubbed_text(reason), detail)
    except DatabaseError:
        logger.exception("a dead message could not be kept", extra={"code": code, "message_detail": detail})


def _readable_arguments(message: Any) -> dict[str, Any]:
    """Return the task's ``args`` and ``kwargs``, or nothing when the body does not have them."""
    if message.content_type != "application/json":
        return {}
    try:
        payload = message.decode()
    except Exception:  # an undecodable body is exactly what is being recorded
        return {}
    if isinstance(payload, list) and len(payload) == 3 and isinstance(payload[1], dict):
        return {"args": payload[0], "kwargs": payload[1]}
    return {}
