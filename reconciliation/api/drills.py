"""Recovery drills over HTTP."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reconciliation.selectors.drills import drill_facts, drill_trend, list_drills
from reconciliation.services.drills import start_drill
from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.api.views import checked


class DrillSerializer(serializers.Serializer[object]):
    account = serializers.CharField(max_length=64)


class DrillQuerySerializer(serializers.Serializer[object]):
    after = serializers.IntegerField(required=False, default=None, min_value=1, max_value=2**63 - 1, allow_null=True)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=500)


class DrillListView(APIView):
    """Drills, newest first, with their trend; POST begins one on a simulated account."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reconciliation.view_drill", "POST": "reconciliation.run_drill"}

    @extend_schema(
        operation_id="list_drills",
        parameters=[DrillQuerySerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        query = checked(DrillQuerySerializer, request.query_params)
        rows = list_drills(after_id=query["after"], limit=query["limit"])
        more = rows[-1].pk if len(rows) == query["limit"] else None
        return Response({"trend": drill_trend(), "results": [drill_facts(row) for row in rows], "next_after": more})

    @extend_schema(
        operation_id="start_drill", request=DrillSerializer, responses={202: OpenApiTypes.OBJECT, **ERROR_RESPONSES}
    )
    def post(self, request: Request) -> Response:
        data = checked(DrillSerializer, request.data)
        return Response({"id": start_drill(data["account"], by=request.user.get_username())}, status=202)
