"""Orders, positions and accounts over HTTP."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from brokers.api import serializers
from brokers.core.orders import FINAL_STATES, OrderState
from brokers.models import Order
from brokers.selectors.accounts import list_accounts
from brokers.selectors.orders import (
    exits_body,
    find_order,
    list_events,
    list_fills,
    list_orders,
    list_positions,
    order_summaries,
    order_summary,
    plain,
)
from brokers.services.cancellation import request_cancel
from brokers.services.replacement import request_replace
from brokers.services.submission import AcceptedOrder, OrderSubmission, accept_order, accept_orders
from reliability.api.errors import error_body
from reliability.api.permissions import Requires, accounts_of
from reliability.api.schema import ERROR_RESPONSES
from reliability.core.errors import ReliabilityError

LARGEST_BATCH = 500
KEY_HEADER = "Idempotency-Key"
_KEY_PARAMETER = OpenApiParameter(
    KEY_HEADER,
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="Names the intent: the same key gives the same order, however often it is sent.",
)


def accepted_body(order: AcceptedOrder) -> dict[str, Any]:
    """Return the answer to an accepted order: what was fixed at acceptance, so a repeat is identical."""
    terms = order.terms
    return {
        "id": str(order.id),
        "client_order_id": order.client_order_id,
        "account": order.account,
        "state": OrderState.ACCEPTED.value,
        "symbol": terms.symbol,
        "side": terms.side.value,
        "type": terms.order_type.value,
        "time_in_force": terms.time_in_force.value,
        "quantity": plain(terms.quantity),
        "notional": plain(terms.notional),
        "limit_price": plain(terms.limit_price),
        "stop_price": plain(terms.stop_price),
        "extended_hours": terms.extended_hours,
        **exits_body(terms.exits),
        "accepted_at": order.accepted_at,
        "submit_before": order.submit_before,
        "correlation_id": order.correlation_id,
    }


class OrderListView(APIView):
    """Submit an order, or list orders."""

    permission_classes = [Requires]
    keeps_to_accounts = True
    required_permissions = {"GET": "brokers.view_order", "POST": "brokers.submit_order"}

    @extend_schema(
        operation_id="submit_order",
        parameters=[_KEY_PARAMETER],
        request=serializers.OrderRequestSerializer,
        responses={202: serializers.AcceptedOrderSerializer, **ERROR_RESPONSES},
    )
    def post(self, request: Request) -> Response:
        """Accept an order. The answer comes after it is durable; it is then sent, once in effect."""
        submission = OrderSubmission(request.headers.get(KEY_HEADER), request.data)
        return _accepted(accept_order(**_caller(request), submission=submission))

    @extend_schema(
        operation_id="list_orders",
        parameters=[serializers.OrderQuerySerializer],
        responses={200: serializers.OrderPageSerializer, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        """List orders, newest first. ``next_before`` of a page is ``before`` of the next one."""
        serializer = serializers.OrderQuerySerializer(data=request.query_params)
        serializer.is_valid(raise_exception=True)
        query = serializer.validated_data
        orders = list_orders(
            account=query["account"],
            symbol=query["symbol"],
            states=tuple(query["state"]),
            is_open=query["open"],
            before=query["before"],
            limit=query["limit"],
            within=accounts_of(request),
        )
        more = str(orders[-1].pk) if len(orders) == query["limit"] else None
        return Response({"results": order_summaries(orders), "next_before": more})


class OrderBatchView(APIView):
    """Submit up to 500 orders in one request, each answered by itself."""

    permission_classes = [Requires]
    keeps_to_accounts = True
    required_permissions = {"POST": "brokers.submit_order"}

    @extend_schema(
        operation_id="submit_orders",
        request=serializers.BatchRequestSerializer,
        responses={207: serializers.BatchAnswersSerializer, **ERROR_RESPONSES},
    )
    def post(self, request: Request) -> Response:
        """Accept many orders in one transaction. One bad order does not hinder the others."""
        items = _batch_items(request.data)
        submissions = [OrderSubmission(item.get("idempotency_key"), item.get("order")) for item in items]
        answers = accept_orders(**_caller(request), submissions=submissions)
        return Response({"results": [_batch_answer(answer) for answer in answers]}, 207)


def _batch_items(data: Any) -> list[dict[str, Any]]:
    items = data.get("orders") if isinstance(data, dict) and set(data) == {"orders"} else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ReliabilityError(
            "VALIDATION_INVALID_REQUEST",
            details={"orders": ["must be a list of objects with idempotency_key and order, and the only field"]},
        )
    if not 1 <= len(items) <= LARGEST_BATCH:
        raise ReliabilityError(
            "VALIDATION_INVALID_REQUEST", details={"orders": [f"must have 1 to {LARGEST_BATCH} entries"]}
        )
    return items


def _batch_answer(answer: AcceptedOrder | ReliabilityError) -> dict[str, Any]:
    if isinstance(answer, ReliabilityError):
        return {"status": answer.definition.http_status, "error": error_body(answer)}
    return {"status": 202, "order": accepted_body(answer)}


class OrderView(APIView):
    """One order."""

    permission_classes = [Requires]
    keeps_to_accounts = True
    required_permissions = {"GET": "brokers.view_order", "PATCH": "brokers.submit_order"}

    @extend_schema(operation_id="get_order", responses={200: serializers.OrderSerializer, **ERROR_RESPONSES})
    def get(self, request: Request, order_id: UUID) -> Response:
        return Response(order_summary(_order(request, order_id)))

    @extend_schema(
        operation_id="replace_order",
        parameters=[_KEY_PARAMETER],
        request=serializers.ReplaceRequestSerializer,
        responses={202: serializers.AcceptedOrderSerializer, **ERROR_RESPONSES},
    )
    def patch(self, request: Request, order_id: UUID) -> Response:
        """Ask for a new order in the place of this one, and return the new one.

        This one is replaced once the broker says so; should it fill or end first, the new one never works.
        """
        submission = OrderSubmission(request.headers.get(KEY_HEADER), request.data)
        return _accepted(request_replace(order_id, **_caller(request), submission=submission))


class OrderHistoryView(APIView):
    """Everything that was recorded of one order: events and fills, oldest first."""

    permission_classes = [Requires]
    keeps_to_accounts = True
    required_permissions = {"GET": "brokers.view_order"}

    @extend_schema(operation_id="get_order_history", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request, order_id: UUID) -> Response:
        order = _order(request, order_id)
        return Response({"order": order_summary(order), "events": list_events(order.pk), "fills": list_fills(order.pk)})


class OrderCancelView(APIView):
    """Cancel an order."""

    permission_classes = [Requires]
    keeps_to_accounts = True
    required_permissions = {"POST": "brokers.submit_order"}

    @extend_schema(
        operation_id="cancel_order",
        request=None,
        responses={202: serializers.CancelAnswerSerializer, **ERROR_RESPONSES},
    )
    def post(self, request: Request, order_id: UUID) -> Response:
        """Cancel at once what was not sent; otherwise ask the broker. Asking twice changes nothing."""
        state = request_cancel(order_id, actor=request.user.get_username(), within=accounts_of(request))
        return Response({"id": str(order_id), "state": state.value, "cancel_pending": state not in FINAL_STATES}, 202)


class PositionListView(APIView):
    """What each account holds."""

    permission_classes = [Requires]
    keeps_to_accounts = True
    required_permissions = {"GET": "brokers.view_position"}

    @extend_schema(
        operation_id="list_positions",
        parameters=[serializers.PositionQuerySerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        serializer = serializers.PositionQuerySerializer(data=request.query_params)
        serializer.is_valid(raise_exception=True)
        account = serializer.validated_data["account"]
        return Response({"results": list_positions(account, within=accounts_of(request))})


class AccountListView(APIView):
    """Accounts, their streams, and how many of their orders are in flight."""

    permission_classes = [Requires]
    keeps_to_accounts = True
    required_permissions = {"GET": "brokers.view_account"}

    @extend_schema(operation_id="list_accounts", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request) -> Response:
        return Response({"results": [asdict(account) for account in list_accounts(within=accounts_of(request))]})


def _accepted(order: AcceptedOrder) -> Response:
    headers = {"Location": f"/api/v1/orders/{order.id}"}
    if order.replayed:
        headers["Idempotent-Replayed"] = "true"
    return Response(accepted_body(order), 202, headers=headers)


def _caller(request: Request) -> dict[str, Any]:
    assert request.user.pk is not None
    return {"owner_id": request.user.pk, "actor": request.user.get_username(), "within": accounts_of(request)}


def _order(request: Request, order_id: UUID) -> Order:
    order = find_order(order_id, within=accounts_of(request))
    if order is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such order.")
    return order
