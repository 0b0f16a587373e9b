"""Line charts as SVG, drawn where the page is made: a value holds until the next one, and nothing is fetched."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from html import escape

WIDTH, HEIGHT = 720, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 12, 12, 26


@dataclass(frozen=True, slots=True)
class Chart:
    """One line: what it shows, in words for those who do not see it, and its points, oldest first."""

    title: str
    points: Sequence[tuple[datetime, Decimal]]


def draw(chart: Chart) -> str:
    """Return the chart as an SVG element, empty where there is nothing to draw.

    Colours are classes of the style sheet, so that it follows the theme; every text in it is escaped.
    """
    if not chart.points:
        return ""
    first, last = chart.points[0][0], chart.points[-1][0]
    span = max(last - first, timedelta(seconds=1))
    low, high = _bounds([value for _, value in chart.points])
    places = [(_across((at - first) / span), _down(float((value - low) / (high - low)))) for at, value in chart.points]
    latest = chart.points[-1][1]
    label = f"{chart.title}: {len(chart.points)} points from {_day(first)} to {_day(last)}, last {_number(latest)}"
    parts = [
        f'<svg class="chart" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" aria-label="{escape(label)}">',
        f"<title>{escape(label)}</title>",
        *_level(low),
        *_level(high, at_top=True),
        *(_zero(low, high) if low < 0 < high else ()),
        f'<path class="chart-line" d="{_steps(places)}"/>',
        f'<text class="chart-text" x="{_LEFT}" y="{HEIGHT - 8}">{_day(first)}</text>',
        f'<text class="chart-text" x="{WIDTH - _RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{_day(last)}</text>',
        "</svg>",
    ]
    return "".join(parts)


def _bounds(values: Sequence[Decimal]) -> tuple[Decimal, Decimal]:
    low, high = min(values), max(values)
    return (low, high) if low < high else (low - 1, high + 1)


def _across(share: float) -> float:
    return _LEFT + share * (WIDTH - _LEFT - _RIGHT)


def _down(share: float) -> float:
    return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def _steps(places: Sequence[tuple[float, float]]) -> str:
    """Return the path: along to the next instant, then up or down."""
    x, y = places[0]
    path = [f"M{x:.1f} {y:.1f}"]
    for x, y in places[1:]:
        path.append(f"H{x:.1f}V{y:.1f}")
    if len(places) == 1:
        path.append(f"H{WIDTH - _RIGHT}")
    return "".join(path)


def _level(value: Decimal, *, at_top: bool = False) -> tuple[str, str]:
    y = _down(1.0 if at_top else 0.0)
    return _rule(y, "chart-grid"), _beside(y, _number(value))


def _zero(low: Decimal, high: Decimal) -> tuple[str, str]:
    y = _down(float(-low / (high - low)))
    return _rule(y, "chart-zero"), _beside(y, "0")


def _beside(y: float, text: str) -> str:
    return f'<text class="chart-text" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'


def _rule(y: float, name: str) -> str:
    return f'<line class="{name}" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _number(value: Decimal) -> str:
    text = format(round(value, 4).normalize(), ",f")
    return "0" if text == "-0" else text


def _day(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}Z"
