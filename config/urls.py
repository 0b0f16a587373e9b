"""Addresses of the web process."""

from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from config.login import second_factor_view
from config.screen import operations, operations_live
from config.views import health_live, health_ready
from reliability.api.errors import api_not_found
from reliability.api.health import DeepHealthView
from reliability.api.metrics import MetricsView

api_docs = login_required(SpectacularSwaggerSplitView.as_view(url_name="schema"))

urlpatterns = [
    path("api/v1/", include("brokers.api.urls")),
    path("api/v1/", include("reconciliation.api.urls")),
    path("api/v1/", include("reliability.api.urls")),
    path("", operations, name="operations"),
    path("live", operations_live, name="operations-live"),
    path("", include("brokers.urls")),
    path("", include("reconciliation.urls")),
    path("", include("reliability.urls")),
    path("second-factor", second_factor_view, name="second-factor"),
    path("health/live", health_live),
    path("health/ready", health_ready),
    path("health/deep", DeepHealthView.as_view(), name="health-deep"),
    path("metrics", MetricsView.as_view(), name="metrics"),
    path("api/v1/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/v1/docs/", api_docs, name="api-docs"),
    re_path(r"^api/.*$", api_not_found),
    path("admin/", admin.site.urls),
]

handler400 = "config.views.bad_request"
handler403 = "config.views.forbidden"
handler404 = "config.views.not_found"
handler500 = "config.views.server_error"
