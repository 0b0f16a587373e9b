"""Silences and messages over HTTP."""

from datetime import timedelta

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.api.views import checked
from reliability.models import DeliveryState
from reliability.selectors.telling import list_deliveries, list_silences, silence_facts
from reliability.services.delivery import delivery_facts
from reliability.services.silences import add_silence, confirm_silence, end_silence

_SILENCE = "reliability.acknowledge_alert"


class SilenceSerializer(serializers.Serializer[object]):
    condition = serializers.CharField(required=False, default="", allow_blank=True, max_length=64)
    scope = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    minutes = serializers.IntegerField(min_value=1, max_value=24 * 60)
    reason = serializers.CharField(max_length=500)


class DeliveryQuerySerializer(serializers.Serializer[object]):
    state = serializers.ChoiceField(DeliveryState.ALL, required=False, default="")
    incident = serializers.IntegerField(required=False, default=None, min_value=1, max_value=2**63 - 1, allow_null=True)
    after = serializers.IntegerField(required=False, default=None, min_value=1, max_value=2**63 - 1, allow_null=True)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=500)


class SilenceListView(APIView):
    """Silences in force; POST adds one, for at most a day."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reliability.view_silence", "POST": _SILENCE}

    @extend_schema(operation_id="list_silences", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request) -> Response:
        return Response({"results": [silence_facts(one) for one in list_silences()]})

    @extend_schema(
        operation_id="add_silence", request=SilenceSerializer, responses={201: OpenApiTypes.OBJECT, **ERROR_RESPONSES}
    )
    def post(self, request: Request) -> Response:
        data = checked(SilenceSerializer, request.data)
        duration = timedelta(minutes=data.pop("minutes"))
        silence = add_silence(**data, duration=duration, actor=request.user.get_username())
        return Response(silence_facts(silence), status=201)


class SilenceActionView(APIView):
    """End a silence, or let it cover critical alerts, too, as a second person."""

    permission_classes = [Requires]
    required_permissions = {"POST": _SILENCE}
    action = "end"

    @extend_schema(request=None, responses={204: None, **ERROR_RESPONSES})
    def post(self, request: Request, silence_id: int) -> Response:
        act = confirm_silence if self.action == "confirm" else end_silence
        act(silence_id, actor=request.user.get_username())
        return Response(status=204)


class DeliveryListView(APIView):
    """Messages to people, newest first, each with its attempts."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reliability.view_delivery"}

    @extend_schema(
        operation_id="list_deliveries",
        parameters=[DeliveryQuerySerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        query = checked(DeliveryQuerySerializer, request.query_params)
        rows = list_deliveries(
            state=query["state"], incident_id=query["incident"], after_id=query["after"], limit=query["limit"]
        )
        more = rows[-1].pk if len(rows) == query["limit"] else None
        return Response({"results": [delivery_facts(row) for row in rows], "next_after": more})
