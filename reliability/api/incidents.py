"""Incidents over HTTP: what is wrong, what people did, how quick they were, and the record for a regulator."""

import csv
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.api.views import checked
from reliability.core.conditions import FailureDomain
from reliability.core.errors import ReliabilityError
from reliability.core.incidents import IncidentKind, IncidentState
from reliability.core.taxonomy import ErrorSeverity
from reliability.models import Incident
from reliability.selectors.alerts import alert_facts, list_timeline
from reliability.selectors.incidents import (
    RECORD_COLUMNS,
    find_incident,
    incident_facts,
    iterate_record,
    list_incident_alerts,
    list_incidents,
    record_row,
    regulatory_record,
    response_times,
)
from reliability.services.incident_decisions import (
    REGULATORY_FIELDS,
    REVIEW_FIELDS,
    acknowledge_incident,
    close_incident,
    comment_incident,
    mitigate_incident,
    set_severity,
    write_review,
)

_VIEW = "reliability.view_incident"
_OPERATE = "reliability.operate_incident"
_CSV_RESPONSES: dict[Any, Any] = {(200, "text/csv"): OpenApiTypes.STR, **ERROR_RESPONSES}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class IncidentQuerySerializer(serializers.Serializer[object]):
    state = serializers.ChoiceField(
        [*(state.value for state in IncidentState), "unresolved"], required=False, default=""
    )
    severity = serializers.ChoiceField([one.value for one in ErrorSeverity], required=False, default="")
    domain = serializers.ChoiceField([one.value for one in FailureDomain], required=False, default="")
    kind = serializers.ChoiceField([one.value for one in IncidentKind], required=False, default=IncidentKind.REAL.value)
    subject = serializers.CharField(required=False, default="", max_length=200)
    after = serializers.IntegerField(required=False, default=None, min_value=1, max_value=2**63 - 1, allow_null=True)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=500)


class IncidentReasonSerializer(serializers.Serializer[object]):
    reason = serializers.CharField(max_length=1000)


class IncidentAcknowledgeSerializer(serializers.Serializer[object]):
    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=1000)


class SeveritySerializer(IncidentReasonSerializer):
    severity = serializers.ChoiceField([one.value for one in ErrorSeverity])


class ReviewSerializer(IncidentReasonSerializer):
    root_cause = serializers.CharField(required=False, allow_blank=True, max_length=5000)
    impact = serializers.CharField(required=False, allow_blank=True, max_length=5000)
    lessons = serializers.CharField(required=False, allow_blank=True, max_length=5000)
    follow_up = serializers.CharField(required=False, allow_blank=True, max_length=5000)
    discovery = serializers.CharField(required=False, allow_blank=True, max_length=64)
    reference = serializers.CharField(required=False, allow_blank=True, max_length=64)
    is_major = serializers.BooleanField(required=False, allow_null=True)
    is_recurring = serializers.BooleanField(required=False)
    reported_at = serializers.DateTimeField(required=False, allow_null=True)
    cost = serializers.DecimalField(required=False, allow_null=True, max_digits=18, decimal_places=2)


class RecordQuerySerializer(serializers.Serializer[object]):
    since = serializers.DateTimeField(required=False, default=None, allow_null=True)
    until = serializers.DateTimeField(required=False, default=None, allow_null=True)


class TimesQuerySerializer(serializers.Serializer[object]):
    days = serializers.IntegerField(required=False, default=30, min_value=1, max_value=3650)


class IncidentListView(APIView):
    """Incidents, newest first; ``state=unresolved`` for those that are not over."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(
        operation_id="list_incidents",
        parameters=[IncidentQuerySerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        query = checked(IncidentQuerySerializer, request.query_params)
        after = query.pop("after")
        rows = list_incidents(**query, after_id=after)
        more = rows[-1].pk if len(rows) == query["limit"] else None
        return Response({"results": [incident_facts(row) for row in rows], "next_after": more})


class IncidentView(APIView):
    """One incident with its alerts and its timeline."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(operation_id="get_incident", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request, incident_id: int) -> Response:
        return Response(_shown(incident_id))


class IncidentAcknowledgeView(APIView):
    """Say that you work on it: nobody else is paged. Again answers the reminder."""

    permission_classes = [Requires]
    required_permissions = {"POST": _OPERATE}

    @extend_schema(
        operation_id="acknowledge_incident",
        request=IncidentAcknowledgeSerializer,
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request, incident_id: int) -> Response:
        reason = checked(IncidentAcknowledgeSerializer, request.data)["reason"]
        acknowledge_incident(incident_id, actor=request.user.get_username(), reason=reason)
        return Response(_shown(incident_id))


class IncidentActionView(APIView):
    """Say that it does no harm any more, that it was looked back at, or add a note."""

    permission_classes = [Requires]
    required_permissions = {"POST": _OPERATE}
    action = "mitigate"

    @extend_schema(request=IncidentReasonSerializer, responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def post(self, request: Request, incident_id: int) -> Response:
        reason, actor = checked(IncidentReasonSerializer, request.data)["reason"], request.user.get_username()
        if self.action == "note":
            comment_incident(incident_id, actor=actor, text=reason)
        elif self.action == "close":
            close_incident(incident_id, actor=actor, reason=reason)
        else:
            mitigate_incident(incident_id, actor=actor, reason=reason)
        return Response(_shown(incident_id))


class IncidentSeverityView(APIView):
    """Set how bad it is, whatever its alerts say."""

    permission_classes = [Requires]
    required_permissions = {"POST": _OPERATE}

    @extend_schema(
        operation_id="set_incident_severity",
        request=SeveritySerializer,
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request, incident_id: int) -> Response:
        data = checked(SeveritySerializer, request.data)
        severity = ErrorSeverity(data["severity"])
        set_severity(incident_id, severity, actor=request.user.get_username(), reason=data["reason"])
        return Response(_shown(incident_id))


class IncidentReviewView(APIView):
    """Write the review, and what a regulator asks for."""

    permission_classes = [Requires]
    required_permissions = {"PATCH": "reliability.review_incident"}

    @extend_schema(
        operation_id="review_incident",
        request=ReviewSerializer,
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def patch(self, request: Request, incident_id: int) -> Response:
        data = checked(ReviewSerializer, request.data)
        values = {name: data[name] for name in (*REVIEW_FIELDS, *REGULATORY_FIELDS) if name in data}
        write_review(incident_id, values, actor=request.user.get_username(), reason=data["reason"])
        return Response(_shown(incident_id))


class IncidentRecordView(APIView):
    """The regulatory record of one incident; every instant in UTC to the microsecond."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(operation_id="get_incident_record", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request, incident_id: int) -> Response:
        return Response(regulatory_record(_found(incident_id)))


class IncidentRegisterView(APIView):
    """All incidents detected in a time (by default the last 365 days) as CSV, one a line, oldest first."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(
        operation_id="export_incidents",
        parameters=[RecordQuerySerializer],
        responses=_CSV_RESPONSES,
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        query = checked(RecordQuerySerializer, request.query_params)
        until = query["until"] or timezone.now()
        since = query["since"] or until - timedelta(days=365)
        response = StreamingHttpResponse(_lines(iterate_record(since, until)), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="incidents.csv"'
        return response


class ResponseTimesView(APIView):
    """How long acknowledging (MTTA) and resolving (MTTR) took: number, median and 90th percentile in seconds."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(
        operation_id="get_response_times",
        parameters=[TimesQuerySerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        return Response(response_times(checked(TimesQuerySerializer, request.query_params)["days"]))


class _Line:
    """What csv writes to: it gives each line back."""

    def write(self, value: str) -> str:
        return value


def _lines(incidents: Iterator[Incident]) -> Iterator[str]:
    writer: Any = csv.writer(_Line())
    yield writer.writerow(RECORD_COLUMNS)
    for incident in incidents:
        row = record_row(incident)
        yield writer.writerow([_cell(row[name]) for name in RECORD_COLUMNS])


def _cell(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _found(incident_id: int) -> Incident:
    incident = find_incident(incident_id)
    if incident is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no incident {incident_id}.")
    return incident


def _shown(incident_id: int) -> dict[str, Any]:
    facts = incident_facts(_found(incident_id))
    alerts = [alert_facts(alert) for alert in list_incident_alerts(incident_id)]
    return {**facts, "alerts": alerts, "timeline": list_timeline("incident", incident_id)}
