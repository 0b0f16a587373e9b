"""Pages that look at all apps at once: health, the operator screen, and errors."""



from django.contrib.auth.decorators import login_required
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from redis.exceptions import RedisError

from brokers.selectors.accounts import list_accounts
from reliability.api.errors import error_response
from reliability.core.errors import ReliabilityError
from reliability.selectors.jobs import list_lanes
from reliability.selectors.processes import list_processes


@require_GET
@never_cache
def health_live(request: HttpRequest) -> JsonResponse:
    """This process answers."""
    return JsonResponse({"status": "live"})


@require_GET
@never_cache
def health_ready(request: HttpRequest) -> JsonResponse:
    """Orders can be accepted: the database answers. Redis away is degraded, not unready."""
    checks = {"database": _database_answers(), "redis": _redis_answers()}
    status = "ready" if all(checks.values()) else ("degraded" if checks["database"] else "unready")
    return JsonResponse({"status": status, "checks": checks}, status=200 if checks["database"] else 503)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        connection.close()
        return False
    return True


def _redis_answers() -> bool:
    try:
        cache.get("health")
    except (RedisError, OSError):
        return False
    return True


@require_GET
@never_cache
@login_required
def operations(request: HttpRequest) -> HttpResponse:
    """The one screen an operator looks at."""
    context = {"accounts": list_accounts(), "lanes": list_lanes(), "processes": list_processes()}
    return render(request, "operations.html", context)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith("/api/"):
        return error_response(ReliabilityError("VALIDATION_NOT_FOUND"))
    return render(request, "404.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    if request.path.startswith("/api/"):
        return error_response(ReliabilityError("SYSTEM_UNEXPECTED"))
    return render(request, "500.html", status=500)


