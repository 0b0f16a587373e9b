"""Reconciliations over HTTP: having one done, following it, and what was found."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from brokers.selectors.recorded import find_account_id
from reconciliation.core.discrepancy import DiscrepancyKind, DiscrepancyState
from reconciliation.core.runs import RunKind
from reconciliation.models import ReconciliationRun
from reconciliation.selectors.runs import (
    discrepancy_facts,
    find_discrepancy,
    find_run,
    list_discrepancies,
    list_runs,
    run_facts,
)
from reconciliation.services.resolutions import ask_for_run, propose_acceptance
from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.api.views import checked
from reliability.core.errors import ReliabilityError

_VIEW = "reconciliation.view_reconciliationrun"
_VIEW_FOUND = "reconciliation.view_discrepancy"


class RunRequestSerializer(serializers.Serializer[object]):
    account = serializers.CharField(max_length=32)
    kind = serializers.ChoiceField([member.value for member in RunKind], default=RunKind.INCREMENTAL.value)


class RunQuerySerializer(serializers.Serializer[object]):
    account = serializers.CharField(required=False, default="", max_length=32)
    before = serializers.IntegerField(required=False, default=None, allow_null=True, min_value=1)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=500)


class DiscrepancyQuerySerializer(RunQuerySerializer):
    state = serializers.ChoiceField([member.value for member in DiscrepancyState], required=False, default="")
    kind = serializers.ChoiceField([member.value for member in DiscrepancyKind], required=False, default="")


class AcceptSerializer(serializers.Serializer[object]):
    reason = serializers.CharField(max_length=500)


class ReconciliationListView(APIView):
    """Runs, newest first, and asking for one."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW, "POST": "reconciliation.run_reconciliation"}

    @extend_schema(
        operation_id="list_reconciliations",
        parameters=[RunQuerySerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        query = checked(RunQuerySerializer, request.query_params)
        runs = list_runs(account=query["account"], before=query["before"], limit=query["limit"])
        next_before = runs[-1].pk if len(runs) == query["limit"] else None
        return Response({"results": [run_facts(run) for run in runs], "next_before": next_before})

    @extend_schema(
        operation_id="request_reconciliation",
        request=RunRequestSerializer,
        responses={202: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request) -> Response:
        """Have an account compared with its broker. A run that waits already is the answer to a second request."""
        data = checked(RunRequestSerializer, request.data)
        account_id = find_account_id(data["account"])
        if account_id is None:
            problem = f"there is no account called {data['account']!r}"
            raise ReliabilityError("VALIDATION_INVALID_REQUEST", details={"account": [problem]})
        kind = RunKind(data["kind"])
        run_id = ask_for_run(account_id, by=request.user.get_username(), kind=kind, trigger="api")
        return Response(run_facts(_run(run_id)), 202, headers={"Location": f"/api/v1/reconciliations/{run_id}"})


class ReconciliationView(APIView):
    """One run, and the differences it saw."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(operation_id="get_reconciliation", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request, run_id: int) -> Response:
        run = _run(run_id)
        found = list_discrepancies(run_id=run.pk, limit=500)
        return Response({**run_facts(run), "discrepancies": [discrepancy_facts(row) for row in found]})


class DiscrepancyListView(APIView):
    """Differences between what is recorded and what brokers report."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW_FOUND}

    @extend_schema(
        operation_id="list_discrepancies",
        parameters=[DiscrepancyQuerySerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        query = checked(DiscrepancyQuerySerializer, request.query_params)
        rows = list_discrepancies(**query)
        next_before = rows[-1].pk if len(rows) == query["limit"] else None
        return Response({"results": [discrepancy_facts(row) for row in rows], "next_before": next_before})


class DiscrepancyAcceptView(APIView):
    """Settle a difference by leaving both sides as they are, with a reason."""

    permission_classes = [Requires]
    required_permissions = {"POST": "reconciliation.resolve_discrepancy"}

    @extend_schema(
        operation_id="accept_discrepancy",
        request=AcceptSerializer,
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request, discrepancy_id: int) -> Response:
        reason = checked(AcceptSerializer, request.data)["reason"]
        if discrepancy_id >= 2**63 or find_discrepancy(discrepancy_id) is None:
            raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such discrepancy.")
        proposed = propose_acceptance(discrepancy_id, by=request.user.get_username(), reason=reason)
        row = find_discrepancy(discrepancy_id)
        assert row is not None
        return Response({**discrepancy_facts(row), "intervention": proposed})


def _run(run_id: int) -> ReconciliationRun:
    run = find_run(run_id) if run_id < 2**63 else None
    if run is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such reconciliation.")
    return run
