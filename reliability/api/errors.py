"""Every error of the API in one format, whatever raised it."""

import logging
import math
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.response import Response

from reliability.core.correlation import current_correlation_id
from reliability.core.errors import ReliabilityError
from reliability.core.text import storable
from reliability.services.failed_requests import note_failed_request

logger = logging.getLogger(__name__)

_BY_TYPE: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (exceptions.ParseError, "VALIDATION_MALFORMED_JSON"),
    ((exceptions.NotAuthenticated, exceptions.AuthenticationFailed), "AUTH_NOT_AUTHENTICATED"),
    ((exceptions.PermissionDenied, PermissionDenied), "AUTH_PERMISSION_DENIED"),
    ((exceptions.NotFound, Http404), "VALIDATION_NOT_FOUND"),
    (exceptions.MethodNotAllowed, "VALIDATION_METHOD_NOT_ALLOWED"),
    (exceptions.NotAcceptable, "VALIDATION_NOT_ACCEPTABLE"),
    (exceptions.UnsupportedMediaType, "VALIDATION_UNSUPPORTED_MEDIA_TYPE"),
    (exceptions.Throttled, "RATE_LIMIT_API"),
    (exceptions.ValidationError, "VALIDATION_INVALID_REQUEST"),
    (RequestDataTooBig, "VALIDATION_BODY_TOO_LARGE"),
    ((OperationalError, InterfaceError), "SYSTEM_DATABASE_UNAVAILABLE"),
)


def error_body(error: ReliabilityError) -> dict[str, Any]:
    """Return the error response format: what happened, and what to do about it."""
    definition = error.definition
    recovery: dict[str, Any] = {"strategy": definition.strategy.value}
    if error.retry_after_seconds is not None:
        recovery["retryAfter"] = error.retry_after_seconds
    if definition.fallback:
        recovery["fallback"] = definition.fallback
    if definition.manual_steps:
        recovery["manual"] = definition.manual_steps
    return {
        "error": {
            "code": definition.code,
            "message": storable(error.message),
            "category": definition.category.value,
            "severity": definition.severity.value,
            "retryable": definition.retryable,
            "details": storable(error.details),
            "timestamp": timezone.now().isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "correlationId": current_correlation_id(),
            "suggestion": definition.suggestion,
        },
        "recovery": recovery,
    }


def to_reliability_error(error: Exception) -> ReliabilityError:
    """Return the error of the catalogue that stands for an exception of the framework."""
    if isinstance(error, ReliabilityError):
        return error
    for types, code in _BY_TYPE:
        if isinstance(error, types):
            return ReliabilityError(code, _message(error), _details(error), _retry_after(error, code))
    return ReliabilityError("SYSTEM_UNEXPECTED")


def _message(error: Exception) -> str:
    if isinstance(error, exceptions.APIException) and isinstance(error.detail, str):
        return str(error.detail)
    return ""


def _details(error: Exception) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        return error.detail if isinstance(error.detail, dict) else {"request": error.detail}
    return {}


def _retry_after(error: Exception, code: str) -> int | None:
    wait: float | None = getattr(error, "wait", None)
    if isinstance(error, exceptions.Throttled) and wait is not None:
        return math.ceil(wait)
    return 1 if code == "SYSTEM_DATABASE_UNAVAILABLE" else None


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's hook: answer any exception of a view in the error response format."""
    known = to_reliability_error(error)
    if known.code == "SYSTEM_UNEXPECTED":
        logger.error("unexpected error", exc_info=error)
    if known.definition.http_status >= 500:
        note_failed_request(known, error, context.get("view"))
    return Response(error_body(known), known.definition.http_status, headers=_headers(known, error))


def _headers(known: ReliabilityError, error: Exception) -> dict[str, str]:
    headers = {}
    if known.retry_after_seconds is not None:
        headers["Retry-After"] = str(known.retry_after_seconds)
    challenge = getattr(error, "auth_header", None)
    if challenge:
        headers["WWW-Authenticate"] = challenge
    return headers


def error_response(error: ReliabilityError) -> JsonResponse:
    """Return the same format outside of DRF."""
    response = JsonResponse(error_body(error), status=error.definition.http_status)
    for name, value in _headers(error, error).items():
        response[name] = value
    return response


def api_not_found(request: HttpRequest) -> JsonResponse:
    """Answer an address under /api/ that does not exist."""
    return error_response(ReliabilityError("VALIDATION_NOT_FOUND", f"There is no {request.path} here."))
