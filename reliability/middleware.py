"""What every request passes: a correlation id, and headers that keep pages to themselves."""

import time
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse, JsonResponse

from reliability.core.correlation import choose_correlation_id, correlated
from reliability.core.degradation import Health
from reliability.services.health import check_health, health_facts
from reliability.services.measures import note_request

HEADER = "X-Correlation-ID"
DEEP_HEALTH = "/health/deep"
HEALTH_ASKED_AT = "stanchion.health_asked_at"
_FIRST_LOOK_SECONDS = 0.5
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

GetResponse = Callable[[HttpRequest], HttpResponse]


class CorrelationMiddleware:
    """Take the caller's correlation id or make one; it goes into logs, rows and the answer."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        correlation_id = choose_correlation_id(request.headers.get(HEADER))
        with correlated(correlation_id), structlog.contextvars.bound_contextvars(correlation_id=correlation_id):
            response = self._get_response(request)
        response[HEADER] = correlation_id
        return response


class ContentSecurityPolicyMiddleware:
    """Everything a page uses comes from this server; nothing leaves the machine."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        response.headers.setdefault("Content-Security-Policy", _POLICY)
        return response


class DeepHealthMiddleware:
    """Answers ``/health/deep`` itself while the database does not: who asks, and what they may, is written there.

    It tells no more than ``/health/ready`` tells everybody. This comes before sessions, which are in the database, too.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path != DEEP_HEALTH:
            return self._get_response(request)
        request.META[HEALTH_ASKED_AT] = time.monotonic()
        report = check_health(("database",), _FIRST_LOOK_SECONDS)
        if report.health is Health.DOWN:
            return JsonResponse(health_facts(report, with_facts=False), status=503)
        return self._get_response(request)


class MeasuringMiddleware:
    """Count every answer by the pattern of its address, so that ids make no series of their own."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.monotonic()
        response = self._get_response(request)
        match = request.resolver_match
        route = match.route if match is not None else ""
        note_request(str(request.method), route, response.status_code, time.monotonic() - began)
        return response
