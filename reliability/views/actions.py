"""What every button does: a POST, one service call, a message, and back to the page."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from reliability.core.errors import ReliabilityError

LONGEST_REASON = 500


def button(permission: str | tuple[str, ...]) -> Callable[[Callable[..., str]], Callable[..., HttpResponse]]:
    """Make a view of what a button does: for whoever has the permission, by POST; it returns what to tell them."""

    def make_view(act: Callable[..., str]) -> Callable[..., HttpResponse]:
        @wraps(act)
        def view(request: HttpRequest, *args: Any, **named: Any) -> HttpResponse:
            return act_and_return(request, lambda: act(request, *args, **named))

        return require_POST(login_required(permission_required(permission, raise_exception=True)(view)))

    return make_view


def act_and_return(request: HttpRequest, act: Callable[[], str]) -> HttpResponseRedirect:
    """Run ``act``, which returns what to tell the person; an error it raises is told instead."""
    try:
        messages.success(request, act())
    except ReliabilityError as error:
        messages.error(request, f"Nothing was changed: {error.message}")
    return HttpResponseRedirect(_way_back(request))


def posted_reason(request: HttpRequest) -> str:
    """Return the reason of the form; raises ``ReliabilityError`` without one."""
    reason = request.POST.get("reason", "").strip()
    if not reason:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Give a reason: it is kept with the change.")
    return reason[:LONGEST_REASON]


def require_typed(request: HttpRequest, name: str) -> None:
    """Raise ``ReliabilityError`` unless the form has the name of what is changed once more, typed by the person."""
    if request.POST.get("typed", "").strip() != name:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"Type {name} to go on.", {"typed": ["required"]})


def _way_back(request: HttpRequest) -> str:
    target = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if safe else "/"


def posted_ids(request: HttpRequest, what: str) -> list[int]:
    """Return the numbers that were chosen; raises ``ReliabilityError`` without any, or for other text."""
    texts = request.POST.getlist("ids")
    if not texts:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"Choose at least one {what}.")
    if not all(text.isdecimal() and len(text) < 19 for text in texts):
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"That is not a list of {what}s.")
    return [int(text) for text in texts]
