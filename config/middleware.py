"""A session that has shown a password only gets as far as the page that asks for the second factor."""

from collections.abc import Callable
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from config import second_factor
from reliability.api.errors import error_response
from reliability.core.errors import ReliabilityError

_WITHOUT = ("/second-factor", "/admin/login/", "/admin/logout/", "/health/live", "/health/ready", "/static/")


class SecondFactorMiddleware:
    """Programs come with a token and without a session; they pass, because a token is made on the server only."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if second_factor.is_required() and self._lacks_it(request):
            if request.path.startswith(("/api/", "/metrics", "/health/")):
                return error_response(
                    ReliabilityError("AUTH_PERMISSION_DENIED", "This session has not shown its second factor.")
                )
            return HttpResponseRedirect("/second-factor?" + urlencode({"next": request.get_full_path()}))
        return self._get_response(request)

    @staticmethod
    def _lacks_it(request: HttpRequest) -> bool:
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or request.path.startswith(_WITHOUT):
            return False
        return request.user.is_authenticated and not second_factor.is_given(request)
