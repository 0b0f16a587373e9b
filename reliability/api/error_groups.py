"""Kinds of errors over HTTP: how many, since when, and what somebody decided about them."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.api.views import CountSerializer, checked
from reliability.core.error_groups import GroupState
from reliability.core.errors import ReliabilityError
from reliability.selectors.alerts import list_timeline
from reliability.selectors.error_groups import event_facts, find_group, group_facts, list_group_events, list_groups
from reliability.selectors.releases import list_releases, release_facts
from reliability.services.error_group_decisions import (
    LONGEST_WINDOW_SECONDS,
    MOST_TIMES,
    assign_group,
    merge_groups,
    reopen_group,
    resolve_group,
    snooze_group,
)

_VIEW = "reliability.view_errorgroup"
_DECIDE = "reliability.decide_errorgroup"


class GroupQuerySerializer(serializers.Serializer[object]):
    state = serializers.ChoiceField([state.value for state in GroupState], required=False, default="")
    code = serializers.CharField(required=False, default="", max_length=64)
    source = serializers.CharField(required=False, default="", max_length=64)  # type: ignore[assignment]  # the field's name
    owner = serializers.CharField(required=False, default="", max_length=150)
    after = serializers.IntegerField(required=False, default=None, min_value=1, max_value=2**63 - 1, allow_null=True)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=500)


class DecisionSerializer(serializers.Serializer[object]):
    reason = serializers.CharField(max_length=500)


class ResolveSerializer(DecisionSerializer):
    release = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=64, help_text="That mends it; or next."
    )


class AssignSerializer(serializers.Serializer[object]):
    owner = serializers.CharField(allow_blank=True, max_length=150, help_text="A user name; empty: nobody.")
    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=500)


class SnoozeSerializer(DecisionSerializer):
    until = serializers.DateTimeField(required=False, default=None, allow_null=True)
    more = serializers.IntegerField(
        required=False, default=None, min_value=1, max_value=10**12, allow_null=True, help_text="Further errors."
    )
    times = serializers.IntegerField(
        required=False, default=None, min_value=1, max_value=MOST_TIMES, allow_null=True, help_text="Within the window."
    )
    window_seconds = serializers.IntegerField(
        required=False, default=None, min_value=1, max_value=LONGEST_WINDOW_SECONDS, allow_null=True
    )


class MergeSerializer(DecisionSerializer):
    ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), min_length=1, max_length=100
    )


class GroupListView(APIView):
    """Kinds of errors, newest first; those merged into others only with ``state=merged``."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(
        operation_id="list_error_groups",
        parameters=[GroupQuerySerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        query = checked(GroupQuerySerializer, request.query_params)
        after = query.pop("after")
        groups = list_groups(**query, after_id=after)
        more = groups[-1].pk if len(groups) == query["limit"] else None
        return Response({"results": [group_facts(group) for group in groups], "next_after": more})


class GroupView(APIView):
    """One kind of error with its newest errors and everything that happened to it."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(operation_id="get_error_group", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request, group_id: int) -> Response:
        return Response(_shown(group_id))


class GroupResolveView(APIView):
    """Say that a kind of error is mended, now or in a release."""

    permission_classes = [Requires]
    required_permissions = {"POST": _DECIDE}

    @extend_schema(
        operation_id="resolve_error_group",
        request=ResolveSerializer,
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request, group_id: int) -> Response:
        resolve_group(group_id, actor=request.user.get_username(), **checked(ResolveSerializer, request.data))
        return Response(_shown(group_id))


class GroupReopenView(APIView):
    """Take the snooze or the resolution of a kind of error back."""

    permission_classes = [Requires]
    required_permissions = {"POST": _DECIDE}

    @extend_schema(
        operation_id="reopen_error_group",
        request=DecisionSerializer,
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request, group_id: int) -> Response:
        reopen_group(group_id, actor=request.user.get_username(), **checked(DecisionSerializer, request.data))
        return Response(_shown(group_id))


class GroupAssignView(APIView):
    """Say whose a kind of error is to mend."""

    permission_classes = [Requires]
    required_permissions = {"POST": _DECIDE}

    @extend_schema(
        operation_id="assign_error_group",
        request=AssignSerializer,
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request, group_id: int) -> Response:
        assign_group(group_id, actor=request.user.get_username(), **checked(AssignSerializer, request.data))
        return Response(_shown(group_id))


class GroupSnoozeView(APIView):
    """Hear nothing of a kind of error until a time, until so many more, or until so many within a window."""

    permission_classes = [Requires]
    required_permissions = {"POST": _DECIDE}

    @extend_schema(
        operation_id="snooze_error_group",
        request=SnoozeSerializer,
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request, group_id: int) -> Response:
        data = checked(SnoozeSerializer, request.data)
        snooze_group(group_id, actor=request.user.get_username(), **data)
        return Response(_shown(group_id))


class GroupMergeView(APIView):
    """Make other kinds of errors part of this one, for good."""

    permission_classes = [Requires]
    required_permissions = {"POST": _DECIDE}

    @extend_schema(
        operation_id="merge_error_groups",
        request=MergeSerializer,
        responses={200: CountSerializer, **ERROR_RESPONSES},
    )
    def post(self, request: Request, group_id: int) -> Response:
        data = checked(MergeSerializer, request.data)
        changed = merge_groups(group_id, data["ids"], actor=request.user.get_username(), reason=data["reason"])
        return Response({"changed": changed})


def _shown(group_id: int) -> dict[str, Any]:
    group = find_group(group_id)
    if group is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no group {group_id}.")
    events = [event_facts(event) for event in list_group_events(group_id)]
    releases = [release_facts(one) for one in list_releases(since=group.first_seen_at)]
    timeline = list_timeline("error_group", group_id)
    return {**group_facts(group), "events": events, "releases": releases, "timeline": timeline}
