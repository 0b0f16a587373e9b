"""Retention over HTTP: policies, what would go, legal holds, and what went."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.api.views import checked
from reliability.core.errors import ReliabilityError
from reliability.selectors.retention import (
    drop_facts,
    hold_facts,
    judged_facts,
    list_drops,
    list_holds,
    list_policies,
    policy_facts,
)
from reliability.services.retention.holds import place_hold, release_hold
from reliability.services.retention.keepers import find_keeper
from reliability.services.retention.upkeep import plan


class HoldSerializer(serializers.Serializer[object]):
    kind = serializers.CharField(required=False, default="", allow_blank=True, max_length=32)
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField(required=False, default=None, allow_null=True)
    reason = serializers.CharField(max_length=500)


class ReleaseSerializer(serializers.Serializer[object]):
    reason = serializers.CharField(max_length=500)


class DropQuerySerializer(serializers.Serializer[object]):
    kind = serializers.CharField(required=False, default="", allow_blank=True, max_length=32)
    after = serializers.IntegerField(required=False, default=None, min_value=1, max_value=2**63 - 1, allow_null=True)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=500)


class RetentionListView(APIView):
    """Each kind of rows that is not kept for good: for how long, and how its upkeep last went."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reliability.view_retentionpolicy"}

    @extend_schema(operation_id="list_retention", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request) -> Response:
        return Response({"results": [policy_facts(one) for one in list_policies()]})


class RetentionPlanView(APIView):
    """What the next upkeep would drop of a kind, and what legal holds keep; changes nothing."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reliability.view_retentionpolicy"}

    @extend_schema(operation_id="plan_retention", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request, kind: str) -> Response:
        if find_keeper(kind) is None:
            raise ReliabilityError("VALIDATION_NOT_FOUND")
        return Response({"kind": kind, "results": [judged_facts(one) for one in plan(kind)]})


class HoldListView(APIView):
    """Legal holds, newest first; POST places one, which stops every drop of what it covers at once."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reliability.view_legalhold", "POST": "reliability.place_legal_hold"}

    @extend_schema(operation_id="list_legal_holds", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request) -> Response:
        return Response({"results": [hold_facts(one) for one in list_holds()]})

    @extend_schema(
        operation_id="place_legal_hold",
        request=HoldSerializer,
        responses={201: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request) -> Response:
        hold = place_hold(**checked(HoldSerializer, request.data), actor=request.user.get_username())
        return Response(hold_facts(hold), status=201)


class HoldReleaseView(APIView):
    """Release a legal hold, as another person than who placed it."""

    permission_classes = [Requires]
    required_permissions = {"POST": "reliability.release_legal_hold"}

    @extend_schema(
        operation_id="release_legal_hold",
        request=ReleaseSerializer,
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request, hold_id: int) -> Response:
        data = checked(ReleaseSerializer, request.data)
        return Response(hold_facts(release_hold(hold_id, actor=request.user.get_username(), reason=data["reason"])))


class DropListView(APIView):
    """What went, newest first: how many rows, and the file that has them."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reliability.view_retentiondrop"}

    @extend_schema(
        operation_id="list_retention_drops",
        parameters=[DropQuerySerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        query = checked(DropQuerySerializer, request.query_params)
        rows = list_drops(kind=query["kind"], after_id=query["after"], limit=query["limit"])
        more = rows[-1].pk if len(rows) == query["limit"] else None
        return Response({"results": [drop_facts(row) for row in rows], "next_after": more})
