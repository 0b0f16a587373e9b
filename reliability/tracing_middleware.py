"""Spans of requests, for the web process alone; this middleware takes itself out while traces are off."""

from collections.abc import Callable

from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse

from reliability.conf import get_conf
from reliability.services import tracing

_NOT_TRACED = ("/health/", "/metrics", "/static/")


class TracingMiddleware:
    """One span for each request, in the caller's trace if it names one; jobs that it enqueues carry it on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not get_conf().traces_url:
            raise MiddlewareNotUsed
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not tracing.is_on() or request.path.startswith(_NOT_TRACED):
            return self._get_response(request)
        from opentelemetry.trace import SpanKind, Status, StatusCode

        from reliability.services.tracing.work import carried_by_rows, context_of

        origin = context_of(request.headers.get("traceparent", ""))
        attributes = {"http.request.method": str(request.method), "url.path": request.path}
        tracer = tracing.get_tracer()
        with tracer.start_as_current_span(
            str(request.method), origin, kind=SpanKind.SERVER, attributes=attributes
        ) as span:
            if request.method in ("GET", "HEAD", "OPTIONS"):
                response = self._get_response(request)
            else:
                with carried_by_rows():
                    response = self._get_response(request)
            match = request.resolver_match
            route = match.route if match is not None else "nothing"
            span.update_name(f"{request.method} /{route}")
            span.set_attribute("http.route", f"/{route}")
            span.set_attribute("http.response.status_code", response.status_code)
            span.set_attribute("stanchion.correlation_id", response.headers.get("X-Correlation-ID", ""))
            if response.status_code >= 500:
                span.set_status(Status(StatusCode.ERROR))
            return response
