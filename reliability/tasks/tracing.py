"""Spans of Celery tasks, joined to whoever sent them by a header of the message.

Nudges are left out: one of them speaks for many requests, and the jobs have spans of their own.
"""

from contextlib import AbstractContextManager
from typing import Any

from celery import signals

from reliability.dispatch import RUN_JOBS
from reliability.services import tracing

_HEADER = "traceparent"
_under_way: dict[str, AbstractContextManager[Any]] = {}


@signals.before_task_publish.connect
def carry_trace(headers: Any = None, **_: Any) -> None:
    traceparent = tracing.current_traceparent()
    if traceparent and isinstance(headers, dict):
        headers.setdefault(_HEADER, traceparent)


@signals.task_prerun.connect
def begin_span(task: Any, task_id: str, **_: Any) -> None:
    if not tracing.is_on() or task.name == RUN_JOBS:
        return
    from opentelemetry.trace import SpanKind

    from reliability.services.tracing.work import context_of

    origin = context_of(task.request.get(_HEADER) or (task.request.headers or {}).get(_HEADER) or "")
    delivery = task.request.delivery_info or {}
    attributes = {
        "celery.task": task.name,
        "celery.task_id": task_id,
        "celery.retries": task.request.retries,
        "messaging.destination.name": str(delivery.get("routing_key")),
    }
    span = tracing.get_tracer().start_as_current_span(
        f"task {task.name}", origin, kind=SpanKind.CONSUMER, attributes=attributes
    )
    span.__enter__()
    _under_way[task_id] = span


@signals.task_failure.connect
def note_failure(exception: BaseException, **_: Any) -> None:
    if not tracing.is_on():
        return
    from opentelemetry.trace import Status, StatusCode, get_current_span

    get_current_span().record_exception(exception)
    get_current_span().set_status(Status(StatusCode.ERROR, type(exception).__name__))


@signals.task_postrun.connect
def end_span(task_id: str, **_: Any) -> None:
    span = _under_way.pop(task_id, None)
    if span is not None:
        span.__exit__(None, None, None)
