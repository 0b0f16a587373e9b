"""Spans of jobs. The context of whoever enqueued a job is on its row, so a retry ten minutes later finds its request.

The row takes it from its session (``stanchion.trace``), by the column's default: no statement of the order path has
to carry it, and while traces are off the default is blank.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from django.db import DatabaseError, connection
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from reliability.core.jobs import ClaimedJob, Performed
from reliability.services import tracing
from reliability.services.jobs.kinds import Call

_SET = "SELECT set_config('stanchion.trace', %s, false)"
_READ = "SELECT id, trace_context FROM reliability_job WHERE id = ANY(%s) AND trace_context <> ''"
_MOST_LINKS = 50
_KEPT = 10_000

logger = logging.getLogger(__name__)

_propagator = TraceContextTextMapPropagator()
_origins: dict[int, str] = {}
_spans: dict[tuple[int, int], trace.SpanContext] = {}


@contextmanager
def carried_by_rows() -> Iterator[None]:
    """Let jobs that the block inserts carry the span under way; nothing of it stays with the connection."""
    traceparent = tracing.current_traceparent()
    if not traceparent:
        yield
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute(_SET, [traceparent])
    except DatabaseError:  # whoever works in the block is told of it; jobs begin traces of their own
        yield
        return
    try:
        yield
    finally:
        _clear()


def _clear() -> None:
    """Take the context from the connection; one that cannot be asked any more is not used again."""
    if connection.connection is None:
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute(_SET, [""])
    except DatabaseError:
        connection.close()


def context_of(traceparent: str) -> contexts.Context:
    """Return the context that a traceparent names; an empty one for anything else."""
    return _propagator.extract({"traceparent": traceparent}, context=contexts.Context())


def note_claimed(jobs: Sequence[ClaimedJob]) -> None:
    """Read where claimed jobs come from; one query for a batch.

    They are claimed already, and are carried out whatever becomes of this: a database that is away costs their traces.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute(_READ, [[job.id for job in jobs]])
            _origins.update(cursor.fetchall())
    except DatabaseError as error:
        logger.warning("claimed jobs begin traces of their own", extra={"error": str(error).strip()})
    _forget_oldest(_origins)


def _forget_oldest(kept: dict[Any, Any]) -> None:
    """Keep what two threads share from growing by what never comes back."""
    while len(kept) > _KEPT:
        with suppress(KeyError, RuntimeError, StopIteration):  # the other thread was faster
            kept.pop(next(iter(kept)))


async def perform_traced(call: Call, perform: Callable[[Call], Awaitable[Performed]]) -> Performed:
    """Perform a call within a span: in the trace of whoever enqueued its job, and linked to it."""
    job = call.job
    origin = context_of(_origins.pop(job.id, ""))
    asked = trace.get_current_span(origin).get_span_context()
    attributes: dict[str, str | int] = {
        "stanchion.job.id": job.id,
        "stanchion.job.kind": job.kind,
        "stanchion.job.attempt": job.attempt,
        "stanchion.job.snoozes": job.snoozes,
        "stanchion.lane": job.lane,
        "stanchion.correlation_id": job.correlation_id,
        "stanchion.subject": str(job.subject or ""),
    }
    links = [Link(asked)] if asked.is_valid else []
    span = tracing.get_tracer().start_span(
        f"job {job.kind}", origin, kind=SpanKind.CONSUMER, attributes=attributes, links=links
    )
    with trace.use_span(span, end_on_exit=True):
        _spans[job.claim] = span.get_span_context()
        _forget_oldest(_spans)
        outcome = await perform(call)
        if outcome.error is not None:
            span.record_exception(outcome.error)
            span.set_status(Status(StatusCode.ERROR, type(outcome.error).__name__))
        return outcome


@contextmanager
def applying(outcomes: Sequence[Performed]) -> Iterator[None]:
    """Record the writing of outcomes: below the job's span if it is one, linked to all of them if they are many."""
    found = [_spans.pop(outcome.job.claim, None) for outcome in outcomes]
    known = [one for one in found if one is not None and one.trace_flags.sampled]
    if not known:
        yield
        return
    parent: Any = contexts.Context()
    if len(known) == 1:
        parent = trace.set_span_in_context(trace.NonRecordingSpan(known[0]), parent)
    span = tracing.get_tracer().start_span(
        "apply outcomes",
        parent,
        attributes={"stanchion.outcomes": len(outcomes)},
        links=[Link(one) for one in known[:_MOST_LINKS]],
    )
    with trace.use_span(span, end_on_exit=True), carried_by_rows() if len(known) == 1 else nullcontext():
        yield
