"""Balances, cash entries, and positions as they were, over HTTP."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from brokers.api.serializers import PositionQuerySerializer
from brokers.selectors.holdings import (
    list_balances,
    list_cash_entries,
    list_position_events,
    list_positions_then,
    position_then_facts,
)
from reliability.api.permissions import Requires, accounts_of
from reliability.api.schema import ERROR_RESPONSES
from reliability.api.views import checked


class LimitedQuerySerializer(PositionQuerySerializer):
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=500)


class PositionsThenSerializer(PositionQuerySerializer):
    at = serializers.DateTimeField(help_text="An instant; what was recorded by then.")
    symbol = serializers.CharField(required=False, default="", max_length=32)


class PositionHistorySerializer(serializers.Serializer[object]):
    account = serializers.CharField(max_length=32)
    symbol = serializers.CharField(max_length=32)
    before = serializers.IntegerField(required=False, default=None, allow_null=True, min_value=1)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=500)


class PositionsThenView(APIView):
    """Positions as they were known at an instant."""

    permission_classes = [Requires]
    keeps_to_accounts = True
    required_permissions = {"GET": "brokers.view_position"}

    @extend_schema(
        operation_id="list_positions_then",
        parameters=[PositionsThenSerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        query = checked(PositionsThenSerializer, request.query_params)
        named = {"account": query["account"], "symbol": query["symbol"]}
        found = list_positions_then(query["at"], **named, within=accounts_of(request))
        return Response({"at": query["at"], "results": [position_then_facts(one) for one in found]})


class PositionHistoryView(APIView):
    """What moved one position: fills, and changes by hand with their reasons."""

    permission_classes = [Requires]
    keeps_to_accounts = True
    required_permissions = {"GET": "brokers.view_positionevent"}

    @extend_schema(
        operation_id="list_position_history",
        parameters=[PositionHistorySerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        query = checked(PositionHistorySerializer, request.query_params)
        limits = {"before": query["before"], "limit": query["limit"], "within": accounts_of(request)}
        events = list_position_events(query["account"], query["symbol"], **limits)
        next_before = events[-1]["sequence"] if len(events) == query["limit"] else None
        return Response({"results": events, "next_before": next_before})


class BalanceListView(APIView):
    """What brokers reported of accounts' money, newest first."""

    permission_classes = [Requires]
    keeps_to_accounts = True
    required_permissions = {"GET": "brokers.view_balance"}

    @extend_schema(
        operation_id="list_balances",
        parameters=[LimitedQuerySerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        query, within = checked(LimitedQuerySerializer, request.query_params), accounts_of(request)
        return Response({"results": list_balances(query["account"], limit=query["limit"], within=within)})


class CashEntryListView(APIView):
    """Cash that moved without an execution, newest first."""

    permission_classes = [Requires]
    keeps_to_accounts = True
    required_permissions = {"GET": "brokers.view_cashentry"}

    @extend_schema(
        operation_id="list_cash_entries",
        parameters=[LimitedQuerySerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        query, within = checked(LimitedQuerySerializer, request.query_params), accounts_of(request)
        return Response({"results": list_cash_entries(query["account"], limit=query["limit"], within=within)})
