"""Runbooks over HTTP: read them, follow one, and run its steps."""

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
from reliability.core.runbooks import RUNBOOKS
from reliability.models import RunbookExecution
from reliability.selectors.runbooks import execution_facts, find_execution, list_executions, runbook_facts
from reliability.services.runbook_rights import require_step_right
from reliability.services.runbooks import abort_runbook, carry_out_step, plan_step, resume_runbook, start_runbook

_VIEW = "reliability.view_runbookexecution"
_FOLLOW = "reliability.follow_runbook"


class StartSerializer(serializers.Serializer[object]):
    runbook = serializers.CharField(max_length=100)
    scope = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    incident = serializers.IntegerField(required=False, default=None, min_value=1, max_value=2**63 - 1, allow_null=True)


class StepSerializer(serializers.Serializer[object]):
    step = serializers.IntegerField(min_value=0, max_value=1000, help_text="Its number, the first is 0.")
    note = serializers.CharField(required=False, default="", allow_blank=True, max_length=1000)


class RunbookReasonSerializer(serializers.Serializer[object]):
    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=500)


class ExecutionQuerySerializer(serializers.Serializer[object]):
    state = serializers.ChoiceField(["running", "finished", "aborted"], required=False, default="")
    after = serializers.IntegerField(required=False, default=None, min_value=1, max_value=2**63 - 1, allow_null=True)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=500)


class RunbookListView(APIView):
    """Every runbook: one per error code, one per alert condition."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(operation_id="list_runbooks", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request) -> Response:
        return Response({"results": [runbook_facts(one) for one in RUNBOOKS.values()]})


class ExecutionListView(APIView):
    """How runbooks were followed, newest first; POST begins to follow one."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW, "POST": _FOLLOW}

    @extend_schema(
        operation_id="list_runbook_executions",
        parameters=[ExecutionQuerySerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        query = checked(ExecutionQuerySerializer, request.query_params)
        rows = list_executions(state=query["state"], after_id=query["after"], limit=query["limit"])
        more = rows[-1].pk if len(rows) == query["limit"] else None
        return Response({"results": [execution_facts(row) for row in rows], "next_after": more})

    @extend_schema(
        operation_id="start_runbook", request=StartSerializer, responses={201: OpenApiTypes.OBJECT, **ERROR_RESPONSES}
    )
    def post(self, request: Request) -> Response:
        data = checked(StartSerializer, request.data)
        execution = start_runbook(
            data["runbook"], data["scope"], actor=request.user.get_username(), incident_id=data["incident"]
        )
        return Response(execution_facts(_found(execution.pk)), status=201)


class ExecutionView(APIView):
    """One execution with every try of its steps."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(operation_id="get_runbook_execution", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request, execution_id: int) -> Response:
        return Response(execution_facts(_found(execution_id)))


class StepView(APIView):
    """Dry-run the action that is next, or carry the next step out."""

    permission_classes = [Requires]
    required_permissions = {"POST": _FOLLOW}
    action = "carry_out"

    @extend_schema(request=StepSerializer, responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def post(self, request: Request, execution_id: int) -> Response:
        data, actor = checked(StepSerializer, request.data), request.user.get_username()
        require_step_right(request.user, _found(execution_id))
        if self.action == "plan":
            plan_step(execution_id, data["step"], actor=actor)
        else:
            carry_out_step(execution_id, data["step"], actor=actor, note=data["note"])
        return Response(execution_facts(_found(execution_id)))


class ExecutionActionView(APIView):
    """Abort an execution with a reason, or take it up again."""

    permission_classes = [Requires]
    required_permissions = {"POST": _FOLLOW}
    action = "abort"

    @extend_schema(request=RunbookReasonSerializer, responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def post(self, request: Request, execution_id: int) -> Response:
        reason, actor = checked(RunbookReasonSerializer, request.data)["reason"], request.user.get_username()
        _found(execution_id)
        if self.action == "resume":
            resume_runbook(execution_id, actor=actor)
        else:
            abort_runbook(execution_id, actor=actor, reason=reason)
        return Response(execution_facts(_found(execution_id)))


def _found(execution_id: int) -> RunbookExecution:
    row = find_execution(execution_id)
    if row is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no execution {execution_id}.")
    return row
