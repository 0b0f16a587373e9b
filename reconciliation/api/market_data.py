"""Bars and gaps over HTTP."""

from datetime import UTC, datetime

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reconciliation.core.bars import BarQuality
from reconciliation.core.gaps import GapCause, GapState
from reconciliation.core.timeframes import Timeframe
from reconciliation.selectors.bars import list_bars, list_questionable, list_released
from reconciliation.selectors.gaps import list_gaps
from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES

_EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
_LATEST = datetime(9999, 12, 30, tzinfo=UTC)
_TIMEFRAMES = [one.value for one in Timeframe]


class SymbolSerializer(serializers.Serializer[object]):
    symbol = serializers.CharField(required=False, default="", max_length=64, allow_blank=True)


class LimitSerializer(serializers.Serializer[object]):
    limit = serializers.IntegerField(required=False, default=1000, min_value=1, max_value=5000)


class BarQuerySerializer(SymbolSerializer, LimitSerializer):
    timeframe = serializers.ChoiceField(_TIMEFRAMES, required=False, default="", allow_blank=True)
    since = serializers.IntegerField(
        required=False, default=None, min_value=0, max_value=2**62, allow_null=True, help_text="0, or next_since."
    )
    start = serializers.DateTimeField(required=False, default=_EARLIEST)
    end = serializers.DateTimeField(required=False, default=_LATEST)
    quality = serializers.ChoiceField(["usable", "questionable"], required=False, default="usable")

    def validate(self, attrs: dict[str, object]) -> dict[str, object]:
        if attrs["since"] is None and not (attrs["symbol"] and attrs["timeframe"]):
            raise serializers.ValidationError({"symbol": ["Give symbol and timeframe, or since."]})
        if attrs["since"] is not None and attrs["quality"] != "usable":
            raise serializers.ValidationError({"quality": ["Questionable bars are never released: ask without since."]})
        return attrs


class BarSerializer(serializers.Serializer[object]):
    seq = serializers.IntegerField(allow_null=True, help_text="Place in the order of release.")
    symbol = serializers.CharField()
    timeframe = serializers.ChoiceField(_TIMEFRAMES)
    timestamp = serializers.DateTimeField(help_text="Where the bar begins.")
    open = serializers.CharField()
    high = serializers.CharField()
    low = serializers.CharField()
    close = serializers.CharField()
    volume = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # a field of ours, not the base class's option
    quality = serializers.ChoiceField([one.value for one in BarQuality])
    revision = serializers.IntegerField(allow_null=True)
    faults = serializers.ListField(child=serializers.CharField(), help_text="Why it may not be used.")
    state = serializers.CharField()


class BarPageSerializer(serializers.Serializer[object]):
    results = BarSerializer(many=True)
    next_since = serializers.IntegerField(allow_null=True)


class BarListView(APIView):
    """Bars, by time or in the order of their release."""

    permission_classes = [Requires]
    keeps_to_accounts = True  # bars are of nobody
    required_permissions = {"GET": "reconciliation.view_bar"}

    @extend_schema(
        operation_id="list_bars", parameters=[BarQuerySerializer], responses={200: BarPageSerializer, **ERROR_RESPONSES}
    )
    def get(self, request: Request) -> Response:
        """Return bars.

        With `since` (0 at first) come all versions released after it, each once, the bars of a series in the order
        of time; ask again with `next_since`. Without it come the current bars of one symbol and timeframe, oldest
        first, from `start` up to before `end`. `quality=questionable` gives those that may not be used, with reasons.
        """
        serializer = BarQuerySerializer(data=request.query_params)
        serializer.is_valid(raise_exception=True)
        query = serializer.validated_data
        if query["since"] is not None:
            found = list_released(
                query["since"], symbol=query["symbol"], timeframe=query["timeframe"], limit=query["limit"]
            )
            return Response({"results": found, "next_since": found[-1]["seq"] if found else query["since"]})
        read = list_questionable if query["quality"] == "questionable" else list_bars
        found = read(query["symbol"], query["timeframe"], query["start"], query["end"], query["limit"])
        return Response({"results": found, "next_since": None})


class GapQuerySerializer(SymbolSerializer):
    state = serializers.MultipleChoiceField(
        choices=[one.value for one in GapState], required=False, default=set, allow_empty=True
    )
    before = serializers.IntegerField(required=False, default=None, min_value=1, allow_null=True)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=1000)


class GapSerializer(serializers.Serializer[object]):
    id = serializers.IntegerField()
    symbol = serializers.CharField()
    timeframe = serializers.ChoiceField(_TIMEFRAMES)
    start = serializers.DateTimeField(help_text="First missing bar.")
    end = serializers.DateTimeField(help_text="Last missing bar.")
    missing = serializers.IntegerField()
    state = serializers.ChoiceField([one.value for one in GapState])
    cause = serializers.ChoiceField([one.value for one in GapCause])
    reason = serializers.CharField()
    found_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)


class GapPageSerializer(serializers.Serializer[object]):
    results = GapSerializer(many=True)
    next_before = serializers.IntegerField(allow_null=True)


class GapListView(APIView):
    """Gaps in market data."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reconciliation.view_gap"}

    @extend_schema(
        operation_id="list_gaps", parameters=[GapQuerySerializer], responses={200: GapPageSerializer, **ERROR_RESPONSES}
    )
    def get(self, request: Request) -> Response:
        """List gaps, newest first. ``next_before`` of a page is ``before`` of the next one."""
        serializer = GapQuerySerializer(data=request.query_params)
        serializer.is_valid(raise_exception=True)
        query = serializer.validated_data
        found = list_gaps(
            symbol=query["symbol"], states=tuple(query["state"]), before=query["before"], limit=query["limit"]
        )
        more = found[-1]["id"] if len(found) == query["limit"] else None
        return Response({"results": found, "next_before": more})
