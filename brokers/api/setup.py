"""Limits of brokers and credentials of accounts, over HTTP: what takes a second person is proposed."""

from dataclasses import asdict

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from brokers.services.credential_changes import CREDENTIALS_PERMISSION, SECRET_FIELDS, propose_credentials
from brokers.services.limits import LIMITS_PERMISSION, BrokerLimits, change_limits, get_limits
from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.api.views import checked
from reliability.selectors.changes import get_change_facts
from reliability.services.persons import LONGEST_REASON


class LimitsSerializer(serializers.Serializer[object]):
    calls_per_minute = serializers.IntegerField(min_value=1, max_value=1_000_000, allow_null=True)
    max_concurrent_calls = serializers.IntegerField(min_value=1, max_value=1_000_000)
    max_calls_overall = serializers.IntegerField(
        min_value=1, max_value=1_000_000, allow_null=True, required=False, help_text="Left out: as it is."
    )
    reason = serializers.CharField(max_length=LONGEST_REASON)


class CredentialsSerializer(serializers.Serializer[object]):
    api_key = serializers.CharField(max_length=1000, trim_whitespace=False, write_only=True)
    api_secret = serializers.CharField(max_length=1000, trim_whitespace=False, write_only=True)
    reason = serializers.CharField(max_length=LONGEST_REASON)


class BrokerLimitsView(APIView):
    """Limits of the calls to a broker: lowered at once (200), raised when another person confirms the change (202)."""

    permission_classes = [Requires]
    required_permissions = {"POST": LIMITS_PERMISSION}

    @extend_schema(
        operation_id="change_broker_limits",
        request=LimitsSerializer,
        responses={200: OpenApiTypes.OBJECT, 202: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request, broker: str) -> Response:
        data = checked(LimitsSerializer, request.data)
        overall = data["max_calls_overall"] if "max_calls_overall" in data else get_limits(broker).max_calls_overall
        limits = BrokerLimits(data["calls_per_minute"], data["max_concurrent_calls"], overall)
        change = change_limits(broker, limits, by=request.user.get_username(), reason=data["reason"])
        if change is None:
            return Response(asdict(limits))
        return Response(get_change_facts(change), 202, headers={"Location": f"/api/v1/changes/{change}"})


class AccountCredentialsView(APIView):
    """New credentials of an account, taken up when another person confirms the change. They are never shown."""

    permission_classes = [Requires]
    required_permissions = {"POST": CREDENTIALS_PERMISSION}

    @extend_schema(
        operation_id="propose_credentials",
        request=CredentialsSerializer,
        responses={202: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request, account: str) -> Response:
        data = checked(CredentialsSerializer, request.data)
        credentials = {name: data[name] for name in SECRET_FIELDS}
        change = propose_credentials(account, credentials, by=request.user.get_username(), reason=data["reason"])
        return Response(get_change_facts(change), 202, headers={"Location": f"/api/v1/changes/{change}"})
