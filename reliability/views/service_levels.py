"""The page of service levels: budgets, burn rates, and how each budget went."""

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from reliability.services.service_levels import list_states
from reliability.views.charts import BUDGET_HEIGHT, BUDGET_WIDTH, budget_marks, service_row


@require_GET
@never_cache
@login_required
@permission_required("reliability.view_servicelevel", raise_exception=True)
def service_levels(request: HttpRequest) -> HttpResponse:
    """Show every service that is measured, the worst budget first."""
    now = timezone.now()
    rows = sorted((service_row(state, now) for state in list_states()), key=lambda row: row.state.budget_left)
    marks = budget_marks(now, may_see_incidents=request.user.has_perm("reliability.view_incident"))
    context = {"rows": rows, "width": BUDGET_WIDTH, "height": BUDGET_HEIGHT, "marks": marks}
    return render(request, "reliability/service_levels.html", context)
