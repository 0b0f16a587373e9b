"""What waits for a person, over HTTP: claim, acknowledge, decide, and confirm as the second person."""

from typing import Any

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
from reliability.core.interventions import InterventionState
from reliability.selectors.alerts import list_timeline
from reliability.selectors.interventions import find_intervention, intervention_facts, list_interventions
from reliability.services.interventions import (
    acknowledge_intervention,
    claim_intervention,
    confirm_intervention,
    decide_intervention,
    get_intervention_kind,
    reject_intervention,
)

_VIEW = "reliability.view_intervention"
_HANDLE = "reliability.handle_intervention"


class InterventionQuerySerializer(serializers.Serializer[object]):
    state = serializers.ChoiceField(
        [*(state.value for state in InterventionState), "undecided"], required=False, default=""
    )
    after = serializers.IntegerField(required=False, default=None, min_value=1, max_value=2**63 - 1, allow_null=True)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=500)


class ConfirmationSerializer(serializers.Serializer[object]):
    proposal = serializers.CharField(max_length=64, help_text="The question's field of that name, as it was read.")


class InterventionDecisionSerializer(serializers.Serializer[object]):
    choice = serializers.CharField(max_length=48)
    value = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    reason = serializers.CharField(max_length=500)


class RejectionSerializer(serializers.Serializer[object]):
    reason = serializers.CharField(max_length=500)


class InterventionListView(APIView):
    """Questions to people, newest first; ``state=undecided`` for those that wait, the most urgent first."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(
        operation_id="list_interventions",
        parameters=[InterventionQuerySerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        query = checked(InterventionQuerySerializer, request.query_params)
        rows = list_interventions(state=query["state"], after_id=query["after"], limit=query["limit"])
        more = rows[-1].pk if len(rows) == query["limit"] and query["state"] != "undecided" else None
        return Response({"results": [intervention_facts(row) for row in rows], "next_after": more})


class InterventionView(APIView):
    """One question with its evidence, its choices and its history."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(operation_id="get_intervention", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request, intervention_id: int) -> Response:
        return Response(_shown(intervention_id))


class InterventionActionView(APIView):
    """Acknowledge a question, or claim it for a quarter of an hour."""

    permission_classes = [Requires]
    required_permissions = {"POST": _HANDLE}
    action = "claim"

    @extend_schema(request=None, responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def post(self, request: Request, intervention_id: int) -> Response:
        _require_kind(request, intervention_id)
        act: Any = acknowledge_intervention if self.action == "acknowledge" else claim_intervention
        act(intervention_id, actor=request.user.get_username())
        return Response(_shown(intervention_id))


class InterventionDecideView(APIView):
    """Decide; where two must agree this proposes it, and another person confirms."""

    permission_classes = [Requires]
    required_permissions = {"POST": _HANDLE}

    @extend_schema(
        operation_id="decide_intervention",
        request=InterventionDecisionSerializer,
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request, intervention_id: int) -> Response:
        _require_kind(request, intervention_id)
        data = checked(InterventionDecisionSerializer, request.data)
        decide_intervention(
            intervention_id,
            data["choice"],
            value=data["value"],
            actor=request.user.get_username(),
            reason=data["reason"],
        )
        return Response(_shown(intervention_id))


class InterventionConfirmView(APIView):
    """Agree with what another person proposed; it is carried out."""

    permission_classes = [Requires]
    required_permissions = {"POST": "reliability.approve_intervention"}

    @extend_schema(
        operation_id="confirm_intervention",
        request=ConfirmationSerializer,
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request, intervention_id: int) -> Response:
        _require_kind(request, intervention_id)
        proposal = checked(ConfirmationSerializer, request.data)["proposal"]
        confirm_intervention(intervention_id, actor=request.user.get_username(), proposal=proposal)
        return Response(_shown(intervention_id))


class InterventionRejectView(APIView):
    """Send a proposal back, with a reason."""

    permission_classes = [Requires]
    required_permissions = {"POST": "reliability.approve_intervention"}

    @extend_schema(
        operation_id="reject_intervention",
        request=RejectionSerializer,
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request, intervention_id: int) -> Response:
        _require_kind(request, intervention_id)
        reason = checked(RejectionSerializer, request.data)["reason"]
        reject_intervention(intervention_id, actor=request.user.get_username(), reason=reason)
        return Response(_shown(intervention_id))


def _require_kind(request: Request, intervention_id: int) -> None:
    """Refuse people who may not do what is being decided, whatever else they may."""
    row = find_intervention(intervention_id)
    if row is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no intervention {intervention_id}.")
    needed = get_intervention_kind(row.kind).permission
    if not request.user.has_perm(needed):
        raise ReliabilityError("AUTH_PERMISSION_DENIED", f"This needs the permission {needed}.")


def _shown(intervention_id: int) -> dict[str, Any]:
    row = find_intervention(intervention_id)
    if row is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no intervention {intervention_id}.")
    return {**intervention_facts(row), "timeline": list_timeline("intervention", row.pk)}
