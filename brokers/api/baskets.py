"""Baskets over HTTP: several orders that are filled together, or taken back."""

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from brokers.api.serializers import OrderRequestSerializer, OrderSerializer
from brokers.core.baskets import MODE, BasketState
from brokers.models import Basket
from brokers.selectors.baskets import basket_summary, find_basket, is_within
from brokers.services.baskets.acceptance import accept_basket, cancel_basket
from reliability.api.permissions import Requires, accounts_of
from reliability.api.schema import ERROR_RESPONSES
from reliability.core.errors import ReliabilityError
from reliability.core.saga import StepOrder

KEY_HEADER = "Idempotency-Key"


class BasketRequestSerializer(serializers.Serializer[object]):
    legs = OrderRequestSerializer(many=True, help_text="2 to 20 orders.")
    mode = serializers.ChoiceField([MODE], default=MODE)
    leg_order = serializers.ChoiceField([order.value for order in StepOrder], default="sequential")
    offset_fills = serializers.BooleanField(
        default=False,
        help_text="Whether fills may be traded back by market orders when the basket fails; if not, a person decides.",
    )
    timeout_seconds = serializers.IntegerField(
        default=300, help_text="After it the basket is taken back; at most a day."
    )


class BasketLegSerializer(serializers.Serializer[object]):
    number = serializers.IntegerField()
    state = serializers.CharField()
    compensation = serializers.CharField()
    error_code = serializers.CharField(allow_null=True)
    error_message = serializers.CharField(allow_null=True)
    request = serializers.DictField()
    order = OrderSerializer(allow_null=True)
    offsets = OrderSerializer(many=True)


class BasketSerializer(serializers.Serializer[object]):
    id = serializers.UUIDField()
    idempotency_key = serializers.CharField()
    correlation_id = serializers.CharField()
    mode = serializers.ChoiceField([MODE])
    leg_order = serializers.CharField()
    offset_fills = serializers.BooleanField()
    state = serializers.ChoiceField([state.value for state in BasketState])
    final = serializers.BooleanField()
    legs_filled = serializers.IntegerField()
    legs_taken_back = serializers.IntegerField()
    error_code = serializers.CharField(allow_null=True)
    error_message = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    deadline_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    legs = BasketLegSerializer(many=True)


class BasketListView(APIView):
    """Submit a basket."""

    permission_classes = [Requires]
    keeps_to_accounts = True
    required_permissions = {"POST": "brokers.submit_order"}

    @extend_schema(
        operation_id="submit_basket",
        parameters=[OpenApiParameter(KEY_HEADER, str, OpenApiParameter.HEADER, required=True)],
        request=BasketRequestSerializer,
        responses={202: BasketSerializer, **ERROR_RESPONSES},
    )
    def post(self, request: Request) -> Response:
        """Accept a basket: all of its orders fill, or what was begun is taken back. It is durable when this answers."""
        assert request.user.pk is not None
        accepted = accept_basket(
            owner_id=request.user.pk,
            actor=request.user.get_username(),
            idempotency_key=request.headers.get(KEY_HEADER),
            body=request.data,
            within=accounts_of(request),
        )
        headers = {"Location": f"/api/v1/baskets/{accepted.id}"}
        if accepted.replayed:
            headers["Idempotent-Replayed"] = "true"
        return Response(basket_summary(_basket(request, accepted.id)), 202, headers=headers)


class BasketView(APIView):
    """One basket."""

    permission_classes = [Requires]
    keeps_to_accounts = True
    required_permissions = {"GET": "brokers.view_order"}

    @extend_schema(operation_id="get_basket", responses={200: BasketSerializer, **ERROR_RESPONSES})
    def get(self, request: Request, basket_id: UUID) -> Response:
        return Response(basket_summary(_basket(request, basket_id)))


class BasketCancelView(APIView):
    """Give a basket up."""

    permission_classes = [Requires]
    keeps_to_accounts = True
    required_permissions = {"POST": "brokers.submit_order"}

    @extend_schema(
        operation_id="cancel_basket",
        request=OpenApiTypes.OBJECT,
        responses={202: BasketSerializer, **ERROR_RESPONSES},
    )
    def post(self, request: Request, basket_id: UUID) -> Response:
        """Cancel what is open and take back what filled, by the basket's consent. Asking twice changes nothing."""
        basket = _basket(request, basket_id)
        cancel_basket(basket.pk, actor=request.user.get_username(), reason=_reason(request.data))
        return Response(basket_summary(basket), 202)


def _reason(data: Any) -> str:
    reason = data.get("reason", "") if isinstance(data, dict) else ""
    if not isinstance(reason, str):
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", details={"reason": ["must be text"]})
    return reason[:500]


def _basket(request: Request, basket_id: UUID) -> Basket:
    basket = find_basket(basket_id)
    if basket is None or not is_within(basket, accounts_of(request)):
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such basket.")
    return basket
