"""Replay and discard dead letters from the operator screen."""

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from reliability.services.jobs.bulk_replay import OPERATE_PERMISSION, ask_for_replay
from reliability.services.jobs.deadletters import discard_dead_letters
from reliability.views.actions import act_and_return, posted_ids, posted_reason


@require_POST
@login_required
@permission_required(OPERATE_PERMISSION, raise_exception=True)
def replay(request: HttpRequest) -> HttpResponse:
    def act() -> str:
        ids, reason = posted_ids(request, "dead letter"), posted_reason(request)
        return str(ask_for_replay(ids, by=request.user.get_username(), reason=reason))

    return act_and_return(request, act)


@require_POST
@login_required
@permission_required(OPERATE_PERMISSION, raise_exception=True)
def discard(request: HttpRequest) -> HttpResponse:
    def act() -> str:
        ids, reason = posted_ids(request, "dead letter"), posted_reason(request)
        changed = discard_dead_letters(ids, actor=request.user.get_username(), reason=reason)
        return f"{changed} dead letter{'' if changed == 1 else 's'} discarded."

    return act_and_return(request, act)
