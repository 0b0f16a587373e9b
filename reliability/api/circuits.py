"""Circuits over HTTP: how they are, what they did, and what people change about them."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.api.views import ReasonSerializer, checked
from reliability.core.breaker import PinnedState
from reliability.core.breaker_settings import SPEC_KEYS, BreakerSettings
from reliability.core.errors import ReliabilityError
from reliability.selectors.circuits import list_transitions
from reliability.services.circuit_board import circuit_facts, get_circuit_view, read_board, transition_facts
from reliability.services.circuit_changes import (
    DEFAULT_PIN_MINUTES,
    LONGEST_REASON,
    MOST_PIN_MINUTES,
    change_settings,
    pin_circuit,
    require_circuit,
    reset_circuit,
    unpin_circuit,
)

_VIEW = "reliability.view_circuit"
_OPERATE = "reliability.operate_circuit"


class CircuitReasonSerializer(serializers.Serializer[object]):
    reason = serializers.CharField(max_length=LONGEST_REASON)


class PinSerializer(CircuitReasonSerializer):
    state = serializers.ChoiceField([state.value for state in PinnedState])
    minutes = serializers.FloatField(
        default=DEFAULT_PIN_MINUTES, help_text=f"Above 0 and at most {MOST_PIN_MINUTES}; default {DEFAULT_PIN_MINUTES}."
    )


class HistoryQuerySerializer(serializers.Serializer[object]):
    after = serializers.IntegerField(required=False, default=None, min_value=1, max_value=2**63 - 1, allow_null=True)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=500)


SETTINGS_SCHEMA: dict[str, Any] = {
    "application/json": {
        "type": "object",
        "required": ["reason"],
        "properties": {
            "reason": {"type": "string", "maxLength": LONGEST_REASON},
            **{name: {"type": "number"} for name in (*BreakerSettings.__dataclass_fields__, *SPEC_KEYS)},
        },
    }
}


class CircuitListView(APIView):
    """Every circuit as it is now, those that refuse calls first. ``store_reachable``: processes share their state."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(operation_id="list_circuits", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request) -> Response:
        board = read_board()
        return Response(
            {"store_reachable": board.is_reachable, "results": [circuit_facts(view) for view in board.circuits]}
        )


class CircuitView(APIView):
    """One circuit; PATCH changes settings, by their names or by the documented keys, with a reason."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW, "PATCH": "reliability.change_circuit"}

    @extend_schema(operation_id="get_circuit", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request, name: str) -> Response:
        return Response(circuit_facts(get_circuit_view(name)))

    @extend_schema(
        operation_id="change_circuit",
        request=SETTINGS_SCHEMA,
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def patch(self, request: Request, name: str) -> Response:
        reason = checked(CircuitReasonSerializer, request.data)["reason"]
        values = {key: value for key, value in dict(request.data).items() if key != "reason"}
        if not values:
            raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Name at least one setting.")
        change_settings(name, values, actor=request.user.get_username(), reason=reason)
        return Response(circuit_facts(get_circuit_view(name)))


class CircuitHistoryView(APIView):
    """The changes of one circuit's state, newest first."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(
        operation_id="list_circuit_history",
        parameters=[HistoryQuerySerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request, name: str) -> Response:
        query = checked(HistoryQuerySerializer, request.query_params)
        require_circuit(name)
        rows = list_transitions(name, after_id=query["after"], limit=query["limit"])
        more = rows[-1].pk if len(rows) == query["limit"] else None
        return Response({"results": [transition_facts(row) for row in rows], "next_after": more})


class CircuitPinView(APIView):
    """Put a person's state above the circuit's own, in every process, for a while and with a reason."""

    permission_classes = [Requires]
    required_permissions = {"POST": _OPERATE}

    @extend_schema(
        operation_id="pin_circuit", request=PinSerializer, responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES}
    )
    def post(self, request: Request, name: str) -> Response:
        data = checked(PinSerializer, request.data)
        pin_circuit(
            name,
            PinnedState(data["state"]),
            minutes=data["minutes"],
            actor=request.user.get_username(),
            reason=data["reason"],
        )
        return Response(circuit_facts(get_circuit_view(name)))


class CircuitActionView(APIView):
    """Remove a pin, or close a circuit and forget what it counted, with a reason."""

    permission_classes = [Requires]
    required_permissions = {"POST": _OPERATE}
    action = "reset"

    @extend_schema(request=ReasonSerializer, responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def post(self, request: Request, name: str) -> Response:
        reason = checked(CircuitReasonSerializer, request.data)["reason"]
        act: Callable[..., None] = unpin_circuit if self.action == "unpin" else reset_circuit
        act(name, actor=request.user.get_username(), reason=reason)
        return Response(circuit_facts(get_circuit_view(name)))
