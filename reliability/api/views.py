"""Dead letters, lanes, the error catalogue and the status, over HTTP."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.core.catalog import CATALOG
from reliability.core.errors import ReliabilityError
from reliability.core.presentation import definition_facts
from reliability.selectors.changes import get_change_facts
from reliability.selectors.jobs import (
    dead_letter_summary,
    find_dead_letter,
    list_attempts,
    list_dead_letters,
    list_lanes,
)
from reliability.selectors.processes import list_processes
from reliability.services.jobs.bulk_replay import OPERATE_PERMISSION, ask_for_replay
from reliability.services.jobs.deadletters import discard_dead_letters
from reliability.services.lanes import pause_lane, resume_lane

_LARGEST_PAGE = 500


class ReasonSerializer(serializers.Serializer[object]):
    reason = serializers.CharField(max_length=1000)


class DeadLetterActionSerializer(ReasonSerializer):
    ids = serializers.ListField(child=serializers.IntegerField(min_value=1), min_length=1, max_length=1000)


class CountSerializer(serializers.Serializer[object]):
    changed = serializers.IntegerField()


class PageQuerySerializer(serializers.Serializer[object]):
    kind = serializers.CharField(required=False, default="", max_length=64)
    error_code = serializers.CharField(required=False, default="", max_length=64)
    after = serializers.IntegerField(required=False, default=None, min_value=1, allow_null=True)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=_LARGEST_PAGE)


def checked(serializer_class: type[serializers.Serializer[object]], data: Any) -> dict[str, Any]:
    """Return the checked data; raises DRF's ValidationError, which names every wrong field."""
    serializer = serializer_class(data=data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


class DeadLetterListView(APIView):
    """Jobs that used up their attempts, and messages that could not become a task."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reliability.view_job"}

    @extend_schema(
        operation_id="list_dead_letters",
        parameters=[PageQuerySerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        query = checked(PageQuerySerializer, request.query_params)
        jobs = list_dead_letters(
            kind=query["kind"], error_code=query["error_code"], after_id=query["after"], limit=query["limit"]
        )
        more = jobs[-1].pk if len(jobs) == query["limit"] else None
        return Response({"results": [dead_letter_summary(job) for job in jobs], "next_after": more})


class DeadLetterView(APIView):
    """One dead letter with its attempts."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reliability.view_job"}

    @extend_schema(operation_id="get_dead_letter", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request, job_id: int) -> Response:
        job = find_dead_letter(job_id)
        if job is None:
            raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such dead letter.")
        return Response({**dead_letter_summary(job), "attempts": list_attempts(job.pk)})


class DeadLetterReplayView(APIView):
    """Replay one dead letter, or propose the replay of several, up to a thousand, to a second person; with a reason."""

    permission_classes = [Requires]
    required_permissions = {"POST": OPERATE_PERMISSION}

    @extend_schema(
        operation_id="replay_dead_letters",
        request=DeadLetterActionSerializer,
        responses={200: CountSerializer, 202: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request) -> Response:
        data = checked(DeadLetterActionSerializer, request.data)
        asked = ask_for_replay(data["ids"], by=request.user.get_username(), reason=data["reason"])
        if asked.change is None:
            return Response({"changed": asked.changed})
        headers = {"Location": f"/api/v1/changes/{asked.change}"}
        return Response(get_change_facts(asked.change), 202, headers=headers)


class DeadLetterDiscardView(APIView):
    """Discard dead letters, one or up to a thousand, with a reason."""

    permission_classes = [Requires]
    required_permissions = {"POST": OPERATE_PERMISSION}

    @extend_schema(
        operation_id="discard_dead_letters",
        request=DeadLetterActionSerializer,
        responses={200: CountSerializer, **ERROR_RESPONSES},
    )
    def post(self, request: Request) -> Response:
        data = checked(DeadLetterActionSerializer, request.data)
        changed = discard_dead_letters(data["ids"], actor=request.user.get_username(), reason=data["reason"])
        return Response({"changed": changed})


class LaneListView(APIView):
    """Lanes with what waits in them."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reliability.view_lane"}

    @extend_schema(operation_id="list_lanes", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request) -> Response:
        return Response({"results": [asdict(lane) for lane in list_lanes()]})


class LaneActionView(APIView):
    """Pause or resume a lane, with a reason."""

    permission_classes = [Requires]
    required_permissions = {"POST": "reliability.pause_lane"}
    action = "pause"

    @extend_schema(request=ReasonSerializer, responses={204: None, **ERROR_RESPONSES})
    def post(self, request: Request, name: str) -> Response:
        data = checked(ReasonSerializer, request.data)
        act = pause_lane if self.action == "pause" else resume_lane
        act(name, actor=request.user.get_username(), reason=data["reason"])
        return Response(status=204)


class ErrorCatalogView(APIView):
    """Every error code there is, with what to do about it."""

    @extend_schema(
        operation_id="list_error_codes",
        parameters=[OpenApiParameter("category", str, description="Only this category.")],
        responses={
            200: inline_serializer("ErrorCatalog", {"results": serializers.ListField(child=serializers.DictField())}),
            **ERROR_RESPONSES,
        },
    )
    def get(self, request: Request) -> Response:
        category = request.query_params.get("category")
        entries = [
            definition_facts(entry) for entry in CATALOG.values() if category in (None, "", entry.category.value)
        ]
        return Response({"results": entries})


class ProcessListView(APIView):
    """Which processes live, and which ended in the last five minutes."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reliability.view_heartbeat"}

    @extend_schema(operation_id="list_processes", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request) -> Response:
        return Response({"results": [asdict(process) for process in list_processes()]})
