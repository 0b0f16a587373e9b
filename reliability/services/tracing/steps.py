"""Spans that begin and end in different places of one task."""

from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from reliability.services import tracing


class RecordedStep(tracing.Step):
    """The span under way from its making to its end."""

    def __init__(self, name: str, attributes: dict[str, Any]) -> None:
        self._span = tracing.get_tracer().start_span(name, attributes=attributes)
        self._token: Any = contexts.attach(trace.set_span_in_context(self._span))

    def end(self, error: BaseException | None = None) -> None:
        if self._token is None:
            return
        contexts.detach(self._token)
        self._token = None
        if error is not None:
            self._span.record_exception(error)
            self._span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        self._span.end()
