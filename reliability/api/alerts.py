"""Alerts over HTTP: what is wrong, since when, and that somebody works on it."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.api.views import CountSerializer, checked
from reliability.core.alerts import LONGEST_SCOPE, AlertState
from reliability.core.conditions import CONDITIONS
from reliability.core.errors import ReliabilityError
from reliability.core.taxonomy import ErrorSeverity
from reliability.selectors.alerts import alert_facts, find_alert, list_alerts, list_timeline
from reliability.services.alert_decisions import LONGEST_REASON, MOST_AT_ONCE, acknowledge_alerts
from reliability.services.quiet import quiet_reason

_STATES = [*(state.value for state in AlertState), "unresolved"]


class AlertQuerySerializer(serializers.Serializer[object]):
    state = serializers.ChoiceField(_STATES, required=False, default="")
    condition = serializers.ChoiceField(list(CONDITIONS), required=False, default="")
    severity = serializers.ChoiceField([one.value for one in ErrorSeverity], required=False, default="")
    scope = serializers.CharField(required=False, default="", max_length=LONGEST_SCOPE)
    after = serializers.IntegerField(required=False, default=None, min_value=1, max_value=2**63 - 1, allow_null=True)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=500)


class AcknowledgeSerializer(serializers.Serializer[object]):
    ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), min_length=1, max_length=MOST_AT_ONCE
    )
    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=LONGEST_REASON)


class AlertListView(APIView):
    """Alerts, newest first; ``state=unresolved`` for those that are not over."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reliability.view_alert"}

    @extend_schema(
        operation_id="list_alerts",
        parameters=[AlertQuerySerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        query = checked(AlertQuerySerializer, request.query_params)
        after = query.pop("after")
        alerts = list_alerts(**query, after_id=after)
        more = alerts[-1].pk if len(alerts) == query["limit"] else None
        return Response({"results": [alert_facts(alert) for alert in alerts], "next_after": more})


class AlertView(APIView):
    """One alert with everything that happened to it."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reliability.view_alert"}

    @extend_schema(operation_id="get_alert", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request, alert_id: int) -> Response:
        alert = find_alert(alert_id)
        if alert is None:
            raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no alert {alert_id}.")
        facts = {**alert_facts(alert), "quiet_because": quiet_reason(alert)}
        return Response({**facts, "timeline": list_timeline("alert", alert.pk)})


class AlertAcknowledgeView(APIView):
    """Say that somebody works on these alerts; no more messages are sent about them for a while."""

    permission_classes = [Requires]
    required_permissions = {"POST": "reliability.acknowledge_alert"}

    @extend_schema(
        operation_id="acknowledge_alerts",
        request=AcknowledgeSerializer,
        responses={200: CountSerializer, **ERROR_RESPONSES},
    )
    def post(self, request: Request) -> Response:
        data = checked(AcknowledgeSerializer, request.data)
        changed = acknowledge_alerts(data["ids"], actor=request.user.get_username(), reason=data["reason"])
        return Response({"changed": changed})
