"""The correlation id of a Celery task: that of whoever sent it, by a header of the message, else one of its own."""

from contextlib import AbstractContextManager
from typing import Any

from celery import signals

from reliability.core.correlation import choose_correlation_id, correlated, current_correlation_id

HEADER = "stanchion_correlation_id"
_under_way: dict[str, AbstractContextManager[str]] = {}


@signals.before_task_publish.connect
def carry_correlation(headers: Any = None, **_: Any) -> None:
    """Send the current id along; a retry keeps the one it has, because the task runs under it."""
    correlation_id = current_correlation_id()
    if correlation_id and isinstance(headers, dict):
        headers.setdefault(HEADER, correlation_id)


@signals.task_prerun.connect
def begin_correlation(task: Any, task_id: str, **_: Any) -> None:
    """Run the task under the id it came with. One that is run in its caller's place goes on under the caller's."""
    received = task.request.get(HEADER) or (task.request.headers or {}).get(HEADER) or current_correlation_id()
    block = correlated(choose_correlation_id(received))
    block.__enter__()
    _under_way[task_id] = block


@signals.task_postrun.connect
def end_correlation(task_id: str, **_: Any) -> None:
    block = _under_way.pop(task_id, None)
    if block is not None:
        block.__exit__(None, None, None)
