"""What every button does: a POST, one service call, a message, and back to the page."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme

from reliability.core.errors import ReliabilityError

LONGEST_REASON = 500


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
