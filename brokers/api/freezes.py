"""Freezes over HTTP: what is frozen, freezing, and letting trading go on."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from brokers.core.freezes import SCOPE_HELP, FreezeMode
from brokers.models import Freeze
from brokers.selectors.freezes import find_freeze_row, freeze_facts, list_freeze_events, list_freezes
from brokers.services.four_eyes import LONGEST_REASON
from brokers.services.freezes import (
    CONFIRM_PERMISSIONS,
    RELEASE_PERMISSION,
    confirm_freeze_release,
    freeze_by_person,
    release_freeze,
    request_freeze_release,
)
from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.api.views import checked
from reliability.core.errors import ReliabilityError

_VIEW = "brokers.view_freeze"
_FREEZE = "brokers.freeze_trading"
_WITH_ERRORS = {200: OpenApiTypes.OBJECT, **ERROR_RESPONSES}


class FreezeReasonSerializer(serializers.Serializer[object]):
    reason = serializers.CharField(max_length=LONGEST_REASON)


class FreezeSerializer(FreezeReasonSerializer):
    scope = serializers.CharField(max_length=100, help_text=SCOPE_HELP)
    mode = serializers.ChoiceField([mode.value for mode in FreezeMode], default=FreezeMode.HALT.value)


class FreezeListView(APIView):
    """The newest 50 freezes, or those in force; and freezing by a person."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW, "POST": _FREEZE}

    @extend_schema(
        operation_id="list_freezes",
        parameters=[OpenApiParameter("in_force", bool, description="true: only those that are in force")],
        responses=_WITH_ERRORS,
    )
    def get(self, request: Request) -> Response:
        in_force = True if request.query_params.get("in_force") == "true" else None
        return Response({"results": [freeze_facts(freeze) for freeze in list_freezes(in_force=in_force)]})

    @extend_schema(
        operation_id="freeze_trading",
        request=FreezeSerializer,
        responses={201: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request) -> Response:
        """Freeze trading: in force when this is answered. Repeating it keeps the freeze that is in force."""
        data = checked(FreezeSerializer, request.data)
        freeze = freeze_by_person(
            data["scope"], FreezeMode(data["mode"]), reason=data["reason"], by=request.user.get_username()
        )
        return Response(freeze_facts(freeze), 201, headers={"Location": f"/api/v1/freezes/{freeze.pk}"})


class FreezeView(APIView):
    """One freeze and its history."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(operation_id="get_freeze", responses=_WITH_ERRORS)
    def get(self, request: Request, freeze_id: int) -> Response:
        events = [
            {
                "kind": one.kind,
                "actor": one.actor,
                "reason": one.reason,
                "evidence": one.evidence,
                "recorded_at": one.recorded_at,
            }
            for one in list_freeze_events(freeze_id)
        ]
        return Response({**freeze_facts(_freeze(freeze_id)), "events": events})


class FreezeReleaseRequestView(APIView):
    """Ask for a freeze to be released where money is in doubt; another person confirms it within the hour."""

    permission_classes = [Requires]
    required_permissions = {"POST": RELEASE_PERMISSION}

    @extend_schema(operation_id="request_freeze_release", request=FreezeReasonSerializer, responses=_WITH_ERRORS)
    def post(self, request: Request, freeze_id: int) -> Response:
        reason = checked(FreezeReasonSerializer, request.data)["reason"]
        _freeze(freeze_id)
        request_freeze_release(freeze_id, by=request.user.get_username(), reason=reason)
        return Response(freeze_facts(_freeze(freeze_id)))


class FreezeConfirmView(APIView):
    """Confirm, as an approver, the release that another person asked for."""

    permission_classes = [Requires]
    required_permissions = {"POST": CONFIRM_PERMISSIONS}

    @extend_schema(operation_id="confirm_freeze_release", request=None, responses=_WITH_ERRORS)
    def post(self, request: Request, freeze_id: int) -> Response:
        _freeze(freeze_id)
        confirm_freeze_release(freeze_id, by=request.user.get_username())
        return Response(freeze_facts(_freeze(freeze_id)))


class FreezeReleaseView(APIView):
    """Release a freeze that one person may release."""

    permission_classes = [Requires]
    required_permissions = {"POST": RELEASE_PERMISSION}

    @extend_schema(operation_id="release_freeze", request=FreezeReasonSerializer, responses=_WITH_ERRORS)
    def post(self, request: Request, freeze_id: int) -> Response:
        reason = checked(FreezeReasonSerializer, request.data)["reason"]
        _freeze(freeze_id)
        release_freeze(freeze_id, by=request.user.get_username(), reason=reason)
        return Response(freeze_facts(_freeze(freeze_id)))


def _freeze(freeze_id: int) -> Freeze:
    freeze = find_freeze_row(freeze_id) if freeze_id < 2**63 else None
    if freeze is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such freeze.")
    return freeze
