"""The health of every part, over HTTP."""

import time

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.core.degradation import Health
from reliability.middleware import HEALTH_ASKED_AT
from reliability.services.health import LIMIT_SECONDS, check_health, health_facts

_LEAST_SECONDS = 0.3


class DeepHealthView(APIView):
    """Looks at every part and answers within a second; 503 when nothing can be carried out."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reliability.view_heartbeat"}

    @extend_schema(
        operation_id="get_health",
        responses={200: OpenApiTypes.OBJECT, 503: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        spent = time.monotonic() - request.META.get(HEALTH_ASKED_AT, time.monotonic())
        report = check_health(limit_seconds=max(_LEAST_SECONDS, LIMIT_SECONDS - spent))
        return Response(health_facts(report), status=503 if report.health is Health.DOWN else 200)
