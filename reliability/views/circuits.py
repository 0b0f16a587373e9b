"""Pin, unpin and reset circuits from the operator screen."""

from collections.abc import Callable
from functools import wraps

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from reliability.core.breaker import PinnedState
from reliability.core.errors import ReliabilityError
from reliability.services.circuit_changes import pin_circuit, reset_circuit, unpin_circuit
from reliability.views.actions import act_and_return, posted_reason

Change = Callable[[HttpRequest, str, str], str]


def _button(change: Change) -> Callable[..., HttpResponse]:
    """Return the view of a button: a POST by somebody who may operate circuits, with a reason."""

    @require_POST
    @login_required
    @permission_required("reliability.operate_circuit", raise_exception=True)
    @wraps(change)
    def view(request: HttpRequest, name: str) -> HttpResponse:
        return act_and_return(request, lambda: change(request, name, posted_reason(request)))

    return view


@_button
def pin(request: HttpRequest, name: str, reason: str) -> str:
    state, minutes = _posted_pin(request)
    pin_circuit(name, state, minutes=minutes, actor=request.user.get_username(), reason=reason)
    return f"The circuit {name} is pinned {state.value.replace('_', ' ')} for {minutes:g} minutes."


@_button
def unpin(request: HttpRequest, name: str, reason: str) -> str:
    unpin_circuit(name, actor=request.user.get_username(), reason=reason)
    return f"The circuit {name} is not pinned any more."


@_button
def reset(request: HttpRequest, name: str, reason: str) -> str:
    reset_circuit(name, actor=request.user.get_username(), reason=reason)
    return f"The circuit {name} was reset."


def _posted_pin(request: HttpRequest) -> tuple[PinnedState, float]:
    try:
        return PinnedState(request.POST.get("state", "")), float(request.POST.get("minutes", ""))
    except ValueError:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Choose a state and a number of minutes.") from None
