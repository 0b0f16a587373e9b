"""What accounts hold and what their orders may still make of it, over HTTP."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from brokers.api.serializers import PositionQuerySerializer
from brokers.core.exposure import PendingKind
from brokers.selectors.exposure import exposure_facts, list_exposures
from reliability.api.permissions import Requires, accounts_of
from reliability.api.schema import ERROR_RESPONSES
from reliability.api.views import checked


class ExposureQuerySerializer(PositionQuerySerializer):
    symbol = serializers.CharField(required=False, default="", max_length=32)


def _amount(text: str) -> serializers.CharField:
    return serializers.CharField(allow_null=True, help_text=text)


class ReservedSerializer(serializers.Serializer[object]):
    """What the orders of one side may still trade: in all, then by where they stand."""

    orders = serializers.IntegerField()
    quantity = _amount("In all; null while an order by money is among them.")
    notional = _amount("At their limit, else stop prices, or the money asked for; null where one has none of these.")

    def get_fields(self) -> dict[str, serializers.Field[object, object, object, object]]:
        kinds = {kind.value: serializers.CharField(allow_null=True) for kind in PendingKind}
        return {**super().get_fields(), **kinds}


class ExposureSerializer(serializers.Serializer[object]):
    account = serializers.CharField()
    symbol = serializers.CharField()
    position = serializers.CharField(help_text="Signed; negative is short.")
    position_cost = serializers.CharField(help_text="Of the position, at its average price.")
    worst_long = _amount("The position if every buy fills and no sell does; null where nobody can say.")
    worst_short = _amount("The position if every sell fills and no buy does; null where nobody can say.")
    buying = ReservedSerializer()
    selling = ReservedSerializer()
    unknown_orders = serializers.IntegerField(help_text="Orders whose outcome nobody knows.")
    oldest_unknown_at = serializers.DateTimeField(allow_null=True, help_text="When the first of them was sent.")
    as_of = serializers.DateTimeField(allow_null=True)
    age_seconds = serializers.FloatField(allow_null=True)
    stale = serializers.BooleanField(help_text="Whether it may have changed unseen.")


class ExposureListSerializer(serializers.Serializer[object]):
    results = ExposureSerializer(many=True)


class ExposureListView(APIView):
    """Positions, and what open and unknown orders may still make of them."""

    permission_classes = [Requires]
    keeps_to_accounts = True
    required_permissions = {"GET": ("brokers.view_position", "brokers.view_order")}

    @extend_schema(
        operation_id="list_exposure",
        parameters=[ExposureQuerySerializer],
        responses={200: ExposureListSerializer, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        """Return every symbol that an account holds or has orders for."""
        query = checked(ExposureQuerySerializer, request.query_params)
        found = list_exposures(query["account"], query["symbol"], within=accounts_of(request))
        return Response({"results": exposure_facts(found)})
