"""How fresh market data is, over HTTP."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reconciliation.api.market_data import LimitSerializer, SymbolSerializer
from reconciliation.services.market_data.freshness import read_freshness
from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES


class FreshnessQuerySerializer(SymbolSerializer, LimitSerializer):
    feed = serializers.CharField(required=False, default="", max_length=64, allow_blank=True)
    stale = serializers.BooleanField(
        required=False, default=None, allow_null=True, help_text="Only those, or the rest."
    )


class FreshnessSerializer(serializers.Serializer[object]):
    symbol = serializers.CharField()
    feed = serializers.CharField()
    quote_at = serializers.DateTimeField(allow_null=True, help_text="When the last quote was, by the source.")
    bid = serializers.DecimalField(25, 10, allow_null=True, normalize_output=True)
    ask = serializers.DecimalField(25, 10, allow_null=True, normalize_output=True)
    trade_at = serializers.DateTimeField(allow_null=True, help_text="When the last trade was, by the source.")
    price = serializers.DecimalField(25, 10, allow_null=True, normalize_output=True)
    size = serializers.DecimalField(25, 10, allow_null=True, normalize_output=True)
    bar_at = serializers.DateTimeField(allow_null=True, help_text="Where the last bar that this feed sent begins.")
    age_seconds = serializers.IntegerField(
        allow_null=True, help_text="Open time since the last quote or trade; null where there was none, or closed."
    )
    habit_seconds = serializers.IntegerField(
        allow_null=True, help_text="How long this symbol may be silent at this feed; null while that is not known."
    )
    is_open = serializers.BooleanField(help_text="Whether the market is open.")
    is_stale = serializers.BooleanField()
    reason = serializers.CharField(help_text="Why it is stale.")
    refused = serializers.IntegerField(help_text="Quotes and trades that could not be believed.")
    refused_reason = serializers.CharField(help_text="Why the last of those could not.")


class FreshnessPageSerializer(serializers.Serializer[object]):
    results = FreshnessSerializer(many=True)


class FreshnessView(APIView):
    """How fresh each symbol of each feed is."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reconciliation.view_barseries"}

    @extend_schema(
        operation_id="list_freshness",
        parameters=[FreshnessQuerySerializer],
        responses={200: FreshnessPageSerializer, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        """Return the last quote, trade and bar of each symbol of each enabled feed, and whether that is stale.

        A symbol is stale when no quote or trade came for longer than is usual for it, or when its bars are behind.
        While its market is closed it is not.
        """
        serializer = FreshnessQuerySerializer(data=request.query_params)
        serializer.is_valid(raise_exception=True)
        found = read_freshness(timezone.now(), **serializer.validated_data)
        return Response({"results": FreshnessSerializer(found, many=True).data})
