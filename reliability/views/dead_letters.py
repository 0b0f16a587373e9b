"""Replay and discard dead letters from the operator screen."""

from collections.abc import Callable

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from reliability.core.errors import ReliabilityError
from reliability.services.jobs.deadletters import discard_dead_letters, replay_dead_letters
from reliability.views.actions import act_and_return, posted_reason


@require_POST
@login_required
@permission_required("reliability.operate_deadletter", raise_exception=True)
def replay(request: HttpRequest) -> HttpResponse:
    return act_and_return(request, _decide(request, replay_dead_letters, "will run again"))


@require_POST
@login_required
@permission_required("reliability.operate_deadletter", raise_exception=True)
def discard(request: HttpRequest) -> HttpResponse:
    return act_and_return(request, _decide(request, discard_dead_letters, "discarded"))


def _decide(request: HttpRequest, service: Callable[..., int], outcome: str) -> Callable[[], str]:
    def act() -> str:
        changed = service(_posted_ids(request), actor=request.user.get_username(), reason=posted_reason(request))
        return f"{changed} dead letter{'' if changed == 1 else 's'} {outcome}."

    return act


def _posted_ids(request: HttpRequest) -> list[int]:
    texts = request.POST.getlist("ids")
    if not texts:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Choose at least one dead letter.")
    if not all(text.isdecimal() and len(text) < 19 for text in texts):
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "That is not a list of dead letters.")
    return [int(text) for text in texts]
