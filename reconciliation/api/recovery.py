"""Recovery runs over HTTP: how they went, how long they took, and asking for one."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reconciliation.models import RecoveryRun
from reconciliation.selectors.recovery import (
    account_of,
    figures_facts,
    find_run,
    list_runs,
    read_figures,
    run_events,
    run_facts,
    run_steps,
    run_triggers,
)
from reconciliation.services.recovery import request_recovery
from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.api.views import checked
from reliability.core.errors import ReliabilityError

_VIEW = "reconciliation.view_recoveryrun"
_RUN = "reconciliation.run_recovery"


class RecoveryRequestSerializer(serializers.Serializer[object]):
    account = serializers.CharField(max_length=32)
    reason = serializers.CharField(max_length=500)


class RecoveryListView(APIView):
    """The newest 50 recovery runs with the figures of the last 30 days, and asking for one."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW, "POST": _RUN}

    @extend_schema(
        operation_id="list_recoveries",
        parameters=[OpenApiParameter("account", str, description="only of this account")],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        name = request.query_params.get("account", "")
        account_id = _account(name) if name else None
        runs = [run_facts(run) for run in list_runs(account_id=account_id)]
        return Response({"figures": figures_facts(read_figures(account_id=account_id)), "results": runs})

    @extend_schema(
        operation_id="request_recovery",
        request=RecoveryRequestSerializer,
        responses={202: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request) -> Response:
        """Have an account recovered now; a run that is under way is void. Look at the run for its progress."""
        data = checked(RecoveryRequestSerializer, request.data)
        run_id = request_recovery(_account(data["account"]), by=request.user.get_username(), reason=data["reason"])
        return Response(run_facts(_run(run_id)), 202, headers={"Location": f"/api/v1/recoveries/{run_id}"})


class RecoveryView(APIView):
    """One recovery run: its steps, what started it, and everything that was recorded of it."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(operation_id="get_recovery", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request, run_id: int) -> Response:
        run = _run(run_id)
        triggers = [
            {"kind": one.kind, "reason": one.reason, "since": one.since, "noticed_at": one.noticed_at}
            for one in run_triggers(run)
        ]
        return Response({**run_facts(run), "triggers": triggers, "steps": run_steps(run), "events": run_events(run)})


def _run(run_id: int) -> RecoveryRun:
    run = find_run(run_id) if run_id < 2**63 else None
    if run is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such recovery run.")
    return run


def _account(name: str) -> int:
    account = account_of(name)
    if account is None:
        details = {"account": [f"there is no account in use called {name!r}"]}
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", details=details)
    return account.id
