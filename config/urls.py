"""Addresses of the web process."""

from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from config.views import health_live, health_ready, operations
from reliability.api.errors import api_not_found

urlpatterns = [
    path("", operations, name="operations"),
    path("health/live", health_live),
    path("health/ready", health_ready),
    path("api/v1/", include("brokers.api.urls")),
    path("api/v1/", include("reliability.api.urls")),
    path("api/v1/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/v1/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="api-docs"),
    re_path(r"^api/.*$", api_not_found),
    path("admin/", admin.site.urls),
]

handler404 = "config.views.not_found"
handler500 = "config.views.server_error"
