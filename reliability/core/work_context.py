"""What is being done now, the job of a call or the message of a task: read only when a log line is written."""

from collections.abc import Mapping
from contextvars import ContextVar

Facts = Mapping[str, object]

_current: ContextVar[Facts | None] = ContextVar("work", default=None)


def set_work(facts: Facts) -> None:
    """Make this the current work of this thread or coroutine; empty facts end it."""
    _current.set(facts)


def current_work() -> Facts:
    """Return the facts of the current work, empty when there is none."""
    return _current.get() or {}
