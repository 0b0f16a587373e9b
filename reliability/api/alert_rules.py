"""What is set for each alert condition, over HTTP."""

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
from reliability.core.taxonomy import ErrorSeverity
from reliability.models import AlertRule
from reliability.selectors.alert_rules import find_rule, list_rules, rule_facts
from reliability.services.alert_rules import LONGEST_HOLD_DOWN_SECONDS, RuleValues, change_rule, reset_rule

_VIEW = "reliability.view_alertrule"
_CHANGE = "reliability.change_alertrule"


class RuleReasonSerializer(serializers.Serializer[object]):
    reason = serializers.CharField(max_length=500)


class AlertRuleSerializer(RuleReasonSerializer):
    severity = serializers.ChoiceField([one.value for one in ErrorSeverity], required=False, allow_null=True)
    hold_down_seconds = serializers.FloatField(
        required=False, allow_null=True, min_value=0, max_value=LONGEST_HOLD_DOWN_SECONDS
    )
    is_told = serializers.BooleanField(required=False)
    thresholds = serializers.DictField(
        child=serializers.FloatField(allow_null=True), required=False, help_text="By name; null: as the catalogue."
    )


class AlertRuleListView(APIView):
    """Every alert condition: what is set for it, what is usual, its thresholds with their bounds."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(operation_id="list_alert_rules", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request) -> Response:
        return Response({"results": [rule_facts(row) for row in list_rules()]})


class AlertRuleView(APIView):
    """One condition's rule; PATCH sets what it names, leaves the rest, and holds from the next look on."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW, "PATCH": _CHANGE}

    @extend_schema(operation_id="get_alert_rule", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request, condition: str) -> Response:
        return Response(rule_facts(_found(condition)))

    @extend_schema(
        operation_id="change_alert_rule",
        request=AlertRuleSerializer,
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def patch(self, request: Request, condition: str) -> Response:
        data = checked(AlertRuleSerializer, request.data)
        values = _values(_found(condition), data)
        row = change_rule(condition, values, actor=request.user.get_username(), reason=data["reason"])
        return Response(rule_facts(row))


class AlertRuleResetView(APIView):
    """Take everything that was set for a condition back."""

    permission_classes = [Requires]
    required_permissions = {"POST": _CHANGE}

    @extend_schema(
        operation_id="reset_alert_rule",
        request=RuleReasonSerializer,
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request, condition: str) -> Response:
        data = checked(RuleReasonSerializer, request.data)
        row = reset_rule(condition, actor=request.user.get_username(), reason=data["reason"])
        return Response(rule_facts(row))


def _found(condition: str) -> AlertRule:
    row = find_rule(condition)
    if row is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no condition called {condition[:64]!r}.")
    return row


def _values(row: AlertRule, data: dict[str, Any]) -> RuleValues:
    """Return the rule with what the request names in place of what was set before."""
    severity = data.get("severity") if "severity" in data else _severity(row)
    return RuleValues(
        ErrorSeverity(severity) if severity else None,
        data.get("hold_down_seconds", row.hold_down_seconds),
        data.get("is_told", row.is_told),
        {**row.thresholds, **data.get("thresholds", {})},
    )


def _severity(row: AlertRule) -> str | None:
    return ErrorSeverity.of_rank(row.severity).value if row.severity else None
