"""Acknowledge alerts from the operator screen."""

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from reliability.services.alert_decisions import LONGEST_REASON, acknowledge_alerts
from reliability.views.actions import act_and_return, posted_ids


@require_POST
@login_required
@permission_required("reliability.acknowledge_alert", raise_exception=True)
def acknowledge(request: HttpRequest) -> HttpResponse:
    def act() -> str:
        reason = request.POST.get("reason", "").strip()[:LONGEST_REASON]
        changed = acknowledge_alerts(posted_ids(request, "alert"), actor=request.user.get_username(), reason=reason)
        return "1 alert acknowledged: you work on it." if changed == 1 else f"{changed} alerts acknowledged."

    return act_and_return(request, act)
