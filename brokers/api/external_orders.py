"""Orders placed elsewhere on an account, over HTTP."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from brokers.api import serializers
from brokers.selectors.external_orders import list_external_orders
from reliability.api.permissions import Requires, accounts_of
from reliability.api.schema import ERROR_RESPONSES


class ExternalOrderListView(APIView):
    """Orders that somebody placed elsewhere on an account."""

    permission_classes = [Requires]
    keeps_to_accounts = True
    required_permissions = {"GET": "brokers.view_order"}

    @extend_schema(
        operation_id="list_external_orders",
        parameters=[serializers.PositionQuerySerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        """List the newest 500. They are recorded and shown, and never changed from here."""
        serializer = serializers.PositionQuerySerializer(data=request.query_params)
        serializer.is_valid(raise_exception=True)
        account = serializer.validated_data["account"]
        return Response({"results": list_external_orders(account, within=accounts_of(request))})
