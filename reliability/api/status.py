"""What works and what does not, over HTTP."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.services.degradation import read_status, status_facts


class StatusView(APIView):
    """Normal, degraded or down; for each dependency what works, what is done instead, and since when."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reliability.view_circuit"}

    @extend_schema(operation_id="get_status", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request) -> Response:
        return Response(status_facts(read_status()))
