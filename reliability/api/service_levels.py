"""Service levels and their error budgets, over HTTP."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.services.service_levels import list_states, service_facts


class ServiceLevelListView(APIView):
    """Each service at each dependency: what is promised, what is left of its error budget, how fast it goes."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reliability.view_servicelevel"}

    @extend_schema(operation_id="list_service_levels", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request) -> Response:
        return Response({"results": [service_facts(state) for state in list_states()]})
