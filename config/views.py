"""Health of this process and of what it needs, and the pages of errors."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from reliability.api.errors import error_response
from reliability.conf import get_conf
from reliability.core.correlation import current_correlation_id
from reliability.core.degradation import Health
from reliability.core.errors import ReliabilityError
from reliability.services.health import check_health


@require_GET
@never_cache
def health_live(request: HttpRequest) -> JsonResponse:
    """This process answers."""
    return JsonResponse({"status": "live"})


@require_GET
@never_cache
def health_ready(request: HttpRequest) -> JsonResponse:
    """Orders can be accepted: the database answers and has our schema. Redis away is degraded, not unready."""
    report = check_health(("database", "migrations", "redis"))
    checks = {one.name: one.health is not Health.DOWN for one in report.components}
    is_ready = report.health is not Health.DOWN
    status = "unready" if not is_ready else ("ready" if all(checks.values()) else "degraded")
    return JsonResponse({"status": status, "checks": checks}, status=200 if is_ready else 503)


def installation(request: HttpRequest) -> dict[str, Any]:
    """Give every page the name of this installation, the time its data was read, and whether Flower is there."""
    return {"instance": settings.INSTANCE, "has_flower": bool(get_conf().flower_url), "now": timezone.now()}


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith("/api/"):
        return error_response(ReliabilityError("VALIDATION_NOT_FOUND"))
    return _error_page(404)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith("/api/"):
        return error_response(ReliabilityError("VALIDATION_REQUEST_TURNED_AWAY"))
    return HttpResponse("Bad request", content_type="text/plain", status=400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith("/api/"):
        return error_response(ReliabilityError("AUTH_PERMISSION_DENIED"))
    return _error_page(403)


def server_error(request: HttpRequest) -> HttpResponse:
    if request.path.startswith("/api/"):
        return error_response(ReliabilityError("SYSTEM_UNEXPECTED"))
    return _error_page(500)


def _error_page(status: int) -> HttpResponse:
    """Render without the request: neither session nor database is needed."""
    context = {"correlation_id": current_correlation_id()}
    return HttpResponse(render_to_string(f"{status}.html", context), status=status)
