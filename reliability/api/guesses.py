"""Guesses about failures and the rules made of them, over HTTP."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from reliability.api.permissions import Requires
from reliability.api.schema import ERROR_RESPONSES
from reliability.api.views import ReasonSerializer, checked
from reliability.core.classification import Proof
from reliability.core.errors import ReliabilityError
from reliability.core.guesses import GuessState
from reliability.selectors.errors import find_guess, guess_facts, list_guesses
from reliability.services.error_rules import confirm_guess, reject_guess, rule_facts


class GuessQuerySerializer(serializers.Serializer[object]):
    state = serializers.ChoiceField([state.value for state in GuessState], required=False, default="")
    source = serializers.CharField(required=False, default="", max_length=64)  # type: ignore[assignment]  # the field's name
    after = serializers.IntegerField(required=False, default=None, min_value=1, max_value=2**63 - 1, allow_null=True)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=500)


class ConfirmSerializer(ReasonSerializer):
    code = serializers.CharField(
        required=False, default="", max_length=64, help_text="Another code than the guessed one."
    )
    proof = serializers.ChoiceField(
        [proof.value for proof in Proof], required=False, help_text="Another proof than the guessed one."
    )
    accepts_doubling = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Must be true for a rule that says nothing happened: if that is wrong, an order is sent twice.",
    )


class GuessListView(APIView):
    """Kinds of failures that no rule knew, with how often each was met; ``state=new`` for those to review."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reliability.view_errorguess"}

    @extend_schema(
        operation_id="list_guesses",
        parameters=[GuessQuerySerializer],
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def get(self, request: Request) -> Response:
        query = checked(GuessQuerySerializer, request.query_params)
        guesses = list_guesses(
            state=query["state"], source=query["source"], after_id=query["after"], limit=query["limit"]
        )
        more = guesses[-1].pk if len(guesses) == query["limit"] else None
        return Response({"results": [guess_facts(guess) for guess in guesses], "next_after": more})


class GuessView(APIView):
    """One kind of failure that no rule knew."""

    permission_classes = [Requires]
    required_permissions = {"GET": "reliability.view_errorguess"}

    @extend_schema(operation_id="get_guess", responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES})
    def get(self, request: Request, guess_id: int) -> Response:
        guess = find_guess(guess_id)
        if guess is None:
            raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no guess {guess_id}.")
        return Response(guess_facts(guess))


class GuessConfirmView(APIView):
    """Make a rule of a guess, corrected where the guess was wrong; every process uses it within seconds."""

    permission_classes = [Requires]
    required_permissions = {"POST": "reliability.decide_errorguess"}

    @extend_schema(
        operation_id="confirm_guess",
        request=ConfirmSerializer,
        responses={200: OpenApiTypes.OBJECT, **ERROR_RESPONSES},
    )
    def post(self, request: Request, guess_id: int) -> Response:
        data = checked(ConfirmSerializer, request.data)
        rule = confirm_guess(
            guess_id,
            actor=request.user.get_username(),
            reason=data["reason"],
            code=data["code"],
            proof=Proof(data["proof"]) if "proof" in data else None,
            accepts_doubling=data["accepts_doubling"],
        )
        return Response(rule_facts(rule))


class GuessRejectView(APIView):
    """Say that a guess shall not become a rule, with a reason."""

    permission_classes = [Requires]
    required_permissions = {"POST": "reliability.decide_errorguess"}

    @extend_schema(operation_id="reject_guess", request=ReasonSerializer, responses={204: None, **ERROR_RESPONSES})
    def post(self, request: Request, guess_id: int) -> Response:
        reason = checked(ReasonSerializer, request.data)["reason"]
        reject_guess(guess_id, actor=request.user.get_username(), reason=reason)
        return Response(status=204)
