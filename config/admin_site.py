"""The admin of this installation."""

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from config.login import TOO_MANY, LoginForm


class StanchionAdminSite(AdminSite):
    site_title = "Stanchion"
    site_header = "Stanchion"
    index_title = "Records"
    site_url = "/"
    login_form = LoginForm

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Answer 429 where the limit of wrong passwords was reached."""
        response: Any = super().login(request, extra_context)
        form = (getattr(response, "context_data", None) or {}).get("form")
        if form is not None and form.is_bound and form.has_error("__all__", TOO_MANY):
            response.status_code = 429
        return response
