"""Kill switches over HTTP: what is stopped, stopping, and letting trading go on with two persons."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from brokers.models import KillSwitch
from brokers.selectors.kill_switch import find_switch, list_switch_events, list_switches, switch_facts
from brokers.services.four_eyes import LONGEST_REASON
from brokers.services.kill_switch import (
    CONFIRM_PERMISSIONS,
    RELEASE_PERMISSION,
    confirm_release,
    engage,
    request_release,
)
from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.api.views import checked
from reliability.core.errors import ReliabilityError

_VIEW = "brokers.view_killswitch"
_ENGAGE = "brokers.engage_kill_switch"


class SwitchReasonSerializer(serializers.Serializer[object]):
    reason = serializers.CharField(max_length=LONGEST_REASON)


class EngageSerializer(SwitchReasonSerializer):
    scope = serializers.CharField(max_length=64, help_text="global, broker:NAME or account:NAME")


class KillSwitchListView(APIView):
    """The newest 50 kill switches with their progress, and engaging one."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW, "POST": _ENGAGE}

    @extend_schema(operation_id="list_kill_switches", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request) -> Response:
        return Response({"results": [switch_facts(switch) for switch in list_switches()]})

    @extend_schema(
        operation_id="engage_kill_switch",
        request=EngageSerializer,
        responses={201: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request) -> Response:
        """Stop trading: in force when this is answered. Repeating it keeps the switch that is in force."""
        data = checked(EngageSerializer, request.data)
        switch = engage(data["scope"], reason=data["reason"], actor=request.user.get_username())
        return Response(switch_facts(switch), 201, headers={"Location": f"/api/v1/kill-switches/{switch.pk}"})


class KillSwitchView(APIView):
    """One kill switch, its progress and its history."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(operation_id="get_kill_switch", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request, switch_id: int) -> Response:
        events = [
            {"kind": one.kind, "actor": one.actor, "reason": one.reason, "recorded_at": one.recorded_at}
            for one in list_switch_events(switch_id)
        ]
        return Response({**switch_facts(_switch(switch_id)), "events": events})


class ReleaseRequestView(APIView):
    """Ask for a kill switch to be released; another person confirms it within the hour."""

    permission_classes = [Requires]
    required_permissions = {"POST": RELEASE_PERMISSION}

    @extend_schema(
        operation_id="request_kill_switch_release",
        request=SwitchReasonSerializer,
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request, switch_id: int) -> Response:
        reason = checked(SwitchReasonSerializer, request.data)["reason"]
        _switch(switch_id)
        return Response(switch_facts(request_release(switch_id, by=request.user.get_username(), reason=reason)))


class ReleaseView(APIView):
    """Confirm, as an approver, the release that another person asked for."""

    permission_classes = [Requires]
    required_permissions = {"POST": CONFIRM_PERMISSIONS}

    @extend_schema(
        operation_id="confirm_kill_switch_release",
        request=None,
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request, switch_id: int) -> Response:
        _switch(switch_id)
        return Response(switch_facts(confirm_release(switch_id, by=request.user.get_username())))


def _switch(switch_id: int) -> KillSwitch:
    switch = find_switch(switch_id) if switch_id < 2**63 else None
    if switch is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such kill switch.")
    return switch
