"""Charts of the operator screen as numbers for SVG: errors by the hour, burn-downs, and what is marked on both.

A chart begins and ends on a round instant, so that it changes when its facts do and not with every look.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse

from reliability.core.taxonomy import ErrorSeverity
from reliability.selectors.error_groups import errors_by_hour
from reliability.selectors.incidents import list_incidents_since
from reliability.selectors.releases import list_releases
from reliability.services.service_levels import ServiceState, budget_line, window_name

BUDGET_WIDTH, BUDGET_HEIGHT = 240, 56
HOURS_WIDTH, HOURS_HEIGHT = 250, 24
DAY, PERIOD = timedelta(days=1), timedelta(days=30)
_BAR = HOURS_WIDTH / 25  # the 24 hours that are over and the one that runs
_DEEPEST = -1.0  # a chart of a budget shows no more than one used up twice
_CODES_SHOWN = 6
_WORST = ErrorSeverity.HIGH.rank


@dataclass(frozen=True, slots=True)
class Mark:
    """A release or an incident on a chart: ``x`` in the chart's units, ``address`` where more of it is told."""

    kind: str
    name: str
    at: datetime
    x: str
    address: str = ""
    severity: str = ""


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """Errors of one category: all of the last 24 hours, the most of an hour, and a bar (x, y, height) for each hour."""

    category: str
    total: int
    peak: int
    bars: list[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class ErrorChart:
    """Errors of 24 hours by category, most first, the codes met most often, and what happened meanwhile."""

    began_at: datetime
    rows: list[ErrorRow]
    codes: list[tuple[str, str, int]]
    marks: list[Mark]


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One service as pages show it; ``line`` are the points of its chart, ``zero`` where nothing is left."""

    state: ServiceState
    burns: list[tuple[str, float]]
    line: str
    zero: float
    lowest: float

    @property
    def times_used(self) -> float:
        """How many times over the budget was used up."""
        return 1 - self.state.budget_left


def error_chart(now: datetime, *, may_see_incidents: bool) -> ErrorChart:
    """Return the errors of the last 24 hours; the first bar is of the part of its hour that is within them."""
    began_at = now - DAY
    first = began_at.replace(minute=0, second=0, microsecond=0)
    hours: dict[str, Counter[int]] = defaultdict(Counter)
    codes: Counter[tuple[str, str]] = Counter()
    for hour, category, code, number in errors_by_hour(began_at):
        hours[category][int((hour - first) / timedelta(hours=1))] += number
        codes[code, category] += number
    rows = [_error_row(category, counts) for category, counts in hours.items()]
    most = [(code, category, number) for (code, category), number in codes.most_common(_CODES_SHOWN)]
    marks = list_marks(first, first + timedelta(hours=25), HOURS_WIDTH, may_see_incidents=may_see_incidents)
    return ErrorChart(first, sorted(rows, key=lambda row: (-row.total, row.category)), most, marks)


def service_row(state: ServiceState, now: datetime) -> ServiceRow:
    """Return a service with the line of its budget over the last 30 days."""
    left = [max(_DEEPEST, value) for _, value in budget_line(state, now=now)]
    lowest = min(0.0, *left)
    spread = 1.0 - lowest
    points = [
        f"{BUDGET_WIDTH * place / (len(left) - 1):.1f},{BUDGET_HEIGHT * (1 - (value - lowest) / spread):.1f}"
        for place, value in enumerate(left)
    ]
    burns = [(window_name(window), state.burn(window)) for window in state.counts]
    return ServiceRow(state, burns, " ".join(points), BUDGET_HEIGHT * (1 - (0 - lowest) / spread), min(left))


def budget_marks(now: datetime, *, may_see_incidents: bool) -> list[Mark]:
    """Return the releases of the last 30 days, and the incidents that were at least high."""
    marks = list_marks(now - PERIOD, now, BUDGET_WIDTH, may_see_incidents=may_see_incidents)
    worst = {ErrorSeverity.of_rank(rank).value for rank in range(1, _WORST + 1)}
    return [mark for mark in marks if mark.kind == "release" or mark.severity in worst]


def list_marks(first: datetime, last: datetime, width: int, *, may_see_incidents: bool) -> list[Mark]:
    """Return releases and incidents that began between two instants, each at its place in a chart of that width."""

    def place(at: datetime) -> str:
        return f"{width * ((at - first) / (last - first)):.1f}"

    releases = [Mark("release", one.name, one.started_at, place(one.started_at)) for one in list_releases(since=first)]
    incidents = list_incidents_since(first) if may_see_incidents else []
    return releases + [
        Mark("incident", one.number, one.detected_at, place(one.detected_at), reverse("incident", args=[one.pk]),
             one.severity_name)
        for one in incidents
    ]  # fmt: skip


def worst_burn(states: Sequence[ServiceState], window: timedelta) -> float | None:
    """Return the fastest burn of these services in a window; None where none of them was called in it."""
    return max((state.burn(window) for state in states if state.counts[window].all), default=None)


def _error_row(category: str, counts: Counter[int]) -> ErrorRow:
    peak = max(counts.values())
    bars = []
    for hour, number in sorted(counts.items()):
        height = max(1.0, HOURS_HEIGHT * number / peak)
        bars.append((f"{hour * _BAR + 1:.1f}", f"{HOURS_HEIGHT - height:.1f}", f"{height:.1f}"))
    return ErrorRow(category, counts.total(), peak, bars)
