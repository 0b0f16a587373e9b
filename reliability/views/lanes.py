"""Pause and resume lanes from the operator screen."""

from collections.abc import Callable

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from reliability.services.lanes import pause_lane, resume_lane
from reliability.views.actions import act_and_return, posted_reason


@require_POST
@login_required
@permission_required("reliability.pause_lane", raise_exception=True)
def pause(request: HttpRequest, name: str) -> HttpResponse:
    return act_and_return(request, _change(request, pause_lane, name, "paused"))


@require_POST
@login_required
@permission_required("reliability.pause_lane", raise_exception=True)
def resume(request: HttpRequest, name: str) -> HttpResponse:
    return act_and_return(request, _change(request, resume_lane, name, "running"))


def _change(request: HttpRequest, service: Callable[..., None], name: str, state: str) -> Callable[[], str]:
    def act() -> str:
        service(name, actor=request.user.get_username(), reason=posted_reason(request))
        return f"The lane {name} is {state}."

    return act
