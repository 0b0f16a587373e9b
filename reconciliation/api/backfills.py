"""Backfills of a stretch of time over HTTP."""

from dataclasses import asdict
from datetime import UTC

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reconciliation.core.timeframes import Timeframe
from reconciliation.services.market_data.backfill_request import request_backfill
from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.api.views import checked


class BackfillSerializer(serializers.Serializer[object]):
    symbol = serializers.CharField(max_length=64)
    timeframe = serializers.ChoiceField([one.value for one in Timeframe])
    start = serializers.DateTimeField(default_timezone=UTC, help_text="First bar.")
    end = serializers.DateTimeField(default_timezone=UTC, help_text="Last bar.")


class BackfillAnswerSerializer(serializers.Serializer[object]):
    symbol = serializers.CharField()
    timeframe = serializers.CharField()
    missing = serializers.IntegerField(help_text="Bars that are missing in the stretch.")
    new_gaps = serializers.IntegerField(help_text="Gaps among them that nobody knew of.")


class BackfillView(APIView):
    """Have the missing bars of a stretch of time fetched."""

    permission_classes = [Requires]
    required_permissions = {"POST": "reconciliation.operate_marketdata"}

    @extend_schema(
        operation_id="request_backfill",
        request=BackfillSerializer,
        responses={202: BackfillAnswerSerializer, **ERROR_RESPONSES},
    )
    def post(self, request: Request) -> Response:
        """Ask the feeds of a series for what is missing from `start` to `end`; `GET /api/v1/gaps` shows how it goes.

        A stretch that is backwards, in the future or before the history of every feed is refused with the reason.
        """
        data = checked(BackfillSerializer, request.data)
        asked = request_backfill(
            data["symbol"],
            Timeframe(data["timeframe"]),
            data["start"].astimezone(UTC),
            data["end"].astimezone(UTC),
            by=request.user.get_username(),
        )
        return Response(asdict(asked), status=202)
