"""The page of service levels: budgets, burn rates, and how each budget went."""

from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from reliability.selectors.releases import list_releases
from reliability.services.service_levels import ServiceState, budget_line, list_states, window_name

WIDTH, HEIGHT = 240, 56
_PERIOD = timedelta(days=30)
_DEEPEST = -1.0  # the chart shows no more than a budget used up twice


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One service as the page shows it; ``line`` are the points of its chart, ``zero`` where nothing is left."""

    state: ServiceState
    burns: list[tuple[str, float]]
    line: str
    zero: float
    lowest: float

    @property
    def times_used(self) -> float:
        """How many times over the budget was used up."""
        return 1 - self.state.budget_left


@require_GET
@never_cache
@login_required
@permission_required("reliability.view_servicelevel", raise_exception=True)
def service_levels(request: HttpRequest) -> HttpResponse:
    """Show every service that is measured, the worst budget first."""
    rows = sorted((_row(state) for state in list_states()), key=lambda row: row.state.budget_left)
    now = timezone.now()
    releases = list_releases(since=now - _PERIOD)
    marks = [(one, f"{WIDTH * (1 - (now - one.started_at) / _PERIOD):.1f}") for one in releases]
    context = {"rows": rows, "width": WIDTH, "height": HEIGHT, "marks": marks}
    return render(request, "reliability/service_levels.html", context)


def _row(state: ServiceState) -> ServiceRow:
    left = [max(_DEEPEST, value) for _, value in budget_line(state)]
    lowest = min(0.0, *left)
    spread = 1.0 - lowest
    points = [
        f"{WIDTH * place / (len(left) - 1):.1f},{HEIGHT * (1 - (value - lowest) / spread):.1f}"
        for place, value in enumerate(left)
    ]
    burns = [(window_name(window), state.burn(window)) for window in state.counts]
    return ServiceRow(state, burns, " ".join(points), HEIGHT * (1 - (0 - lowest) / spread), min(left))
