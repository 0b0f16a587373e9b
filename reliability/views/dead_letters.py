"""Replay and discard dead letters from the operator screen."""

from collections.abc import Callable

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from reliability.services.jobs.deadletters import discard_dead_letters, replay_dead_letters
from reliability.views.actions import act_and_return, posted_ids, posted_reason


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
        changed = service(
            posted_ids(request, "dead letter"), actor=request.user.get_username(), reason=posted_reason(request)
        )
        return f"{changed} dead letter{'' if changed == 1 else 's'} {outcome}."

    return act
