"""Traces: what one request led to, across processes, as OpenTelemetry spans. Off unless an address is set.

While traces are off nothing here imports OpenTelemetry, and whoever works asks ``is_on()`` at most. Spans below
one under way are recorded, of PostgreSQL, Redis, HTTP and the broker's websocket; looking for work makes none.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_tracer: "Tracer | None" = None


def is_on() -> bool:
    return _tracer is not None


def set_tracer(tracer: "Tracer | None") -> None:
    """Begin or end tracing in this process; ``provider`` does it."""
    global _tracer
    _tracer = tracer


def get_tracer() -> "Tracer":
    """Return the tracer; ask ``is_on`` first."""
    assert _tracer is not None
    return _tracer


def current_traceparent() -> str:
    """Return the context of the span under way as W3C writes it, blank when there is none that is recorded."""
    if _tracer is None:
        return ""
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    if not context.is_valid or not context.trace_flags.sampled:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


def current_trace_id() -> str:
    """Return the id of the trace under way, for a log line; blank when there is none."""
    return current_traceparent()[3:35]


class Step:
    """Something that has begun and ends elsewhere in the same task; what it asks of others meanwhile is below it."""

    def end(self, error: BaseException | None = None) -> None:
        """End it; a second time changes nothing."""


_NO_STEP = Step()


def begin_step(name: str, attributes: Mapping[str, Any] | None = None) -> Step:
    """Begin a span that ``end`` ends; it costs nothing while traces are off."""
    if _tracer is None:
        return _NO_STEP
    from reliability.services.tracing.steps import RecordedStep

    return RecordedStep(name, dict(attributes or {}))


@contextmanager
def span(name: str, attributes: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Record the block as a span below the one under way; a plain block while traces are off."""
    if _tracer is None:
        yield
        return
    with _tracer.start_as_current_span(name, attributes=dict(attributes or {})):
        yield
