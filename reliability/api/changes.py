"""Changes that take two persons, over HTTP: what waits, and the word of the second person."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.api.views import checked
from reliability.core.changes import ChangeState
from reliability.selectors.changes import change_facts, get_change_facts, list_changes
from reliability.services.changes import confirm_change, reject_change, withdraw_change
from reliability.services.persons import APPROVE_PERMISSION, LONGEST_REASON

_VIEW = "reliability.view_proposedchange"
_WITH_ERRORS = {200: OpenApiTypes.OBJECT, **ERROR_RESPONSES}


class ChangeQuerySerializer(serializers.Serializer[object]):
    state = serializers.ChoiceField([state.value for state in ChangeState], required=False, default="")
    after = serializers.IntegerField(required=False, default=None, min_value=1, max_value=2**63 - 1, allow_null=True)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=500)


class ChangeConfirmationSerializer(serializers.Serializer[object]):
    proposal = serializers.CharField(max_length=64, help_text="The change's field of that name, as it was read.")


class ChangeRejectionSerializer(serializers.Serializer[object]):
    reason = serializers.CharField(max_length=LONGEST_REASON)


class ChangeListView(APIView):
    """Changes that take two persons, newest first."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(operation_id="list_changes", parameters=[ChangeQuerySerializer], responses=_WITH_ERRORS)
    def get(self, request: Request) -> Response:
        query = checked(ChangeQuerySerializer, request.query_params)
        rows = list_changes(state=query["state"], after_id=query["after"], limit=query["limit"])
        more = rows[-1].pk if len(rows) == query["limit"] else None
        return Response({"results": [change_facts(row) for row in rows], "next_after": more})


class ChangeView(APIView):
    """One change with everything that is agreed to but what is kept encrypted."""

    permission_classes = [Requires]
    required_permissions = {"GET": _VIEW}

    @extend_schema(operation_id="get_change", responses=_WITH_ERRORS)
    def get(self, request: Request, change_id: int) -> Response:
        return Response(get_change_facts(change_id))


class ChangeConfirmView(APIView):
    """Agree, as another person, to exactly what was proposed; it is done when this is answered."""

    permission_classes = [Requires]
    required_permissions = {"POST": APPROVE_PERMISSION}

    @extend_schema(operation_id="confirm_change", request=ChangeConfirmationSerializer, responses=_WITH_ERRORS)
    def post(self, request: Request, change_id: int) -> Response:
        get_change_facts(change_id)
        proposal = checked(ChangeConfirmationSerializer, request.data)["proposal"]
        confirm_change(change_id, by=request.user.get_username(), proposal=proposal)
        return Response(get_change_facts(change_id))


class ChangeRejectView(APIView):
    """Send a proposal back, with a reason."""

    permission_classes = [Requires]
    required_permissions = {"POST": APPROVE_PERMISSION}

    @extend_schema(operation_id="reject_change", request=ChangeRejectionSerializer, responses=_WITH_ERRORS)
    def post(self, request: Request, change_id: int) -> Response:
        get_change_facts(change_id)
        reason = checked(ChangeRejectionSerializer, request.data)["reason"]
        reject_change(change_id, by=request.user.get_username(), reason=reason)
        return Response(get_change_facts(change_id))


class ChangeWithdrawView(APIView):
    """Take one's own proposal back."""

    permission_classes = [Requires]
    required_permissions = {"POST": _VIEW}

    @extend_schema(operation_id="withdraw_change", request=None, responses=_WITH_ERRORS)
    def post(self, request: Request, change_id: int) -> Response:
        get_change_facts(change_id)
        withdraw_change(change_id, by=request.user.get_username())
        return Response(get_change_facts(change_id))
