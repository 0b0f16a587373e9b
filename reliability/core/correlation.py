"""The id that follows one request through tasks, broker calls, log lines and rows."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[str] = ContextVar("correlation_id", default="")
_USABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


def current_correlation_id() -> str:
    """Return the id of what is being done now, or an empty string."""
    return _current.get()


def correlation_or_new() -> str:
    """Return the current id, or a new one where nothing gave one: for work that begins by itself."""
    return _current.get() or uuid.uuid4().hex


def choose_correlation_id(received: str | None) -> str:
    """Return the id a caller sent if it is usable (1 to 64 plain characters), else a new one."""
    if received and _USABLE.fullmatch(received):
        return received
    return uuid.uuid4().hex


def set_correlation_id(correlation_id: str) -> None:
    """Make ``correlation_id`` the current one for the rest of this task: each task has a context of its own."""
    _current.set(correlation_id)


@contextmanager
def correlated(correlation_id: str) -> Iterator[str]:
    """Make ``correlation_id`` the current one inside the block."""
    token = _current.set(correlation_id)
    try:
        yield correlation_id
    finally:
        _current.reset(token)
