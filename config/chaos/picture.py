"""The timeline of one episode as an SVG picture: faults, what was noticed, circuits, health, orders. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from config.chaos.checker import open_spans
from config.chaos.episode import Episode

_LEFT, _WIDTH, _ROW = 170, 960, 22
_PLOT = _WIDTH - _LEFT - 20
_BUCKETS = 60


@dataclass(frozen=True, slots=True)
class Mark:
    """A bar from ``begin`` to ``end``, or a point where both are the same; seconds since the episode began."""

    begin: float
    end: float
    colour: str
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    label: str
    marks: Sequence[Mark]


def timeline(episode: Episode) -> str:
    """Return the picture as an ``<svg>`` element."""
    rows = _rows(episode)
    length = max([1.0, *(mark.end for row in rows for mark in row.marks), *_moments(episode)])
    height = _ROW * len(rows) + 130
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" xmlns="http://www.w3.org/2000/svg">',
        f"<title>Timeline of {escape(episode.scenario.name)}, seed {episode.seed}</title>",
        *_axis(length, height),
        *_recovered(episode, length, height),
        *(part for number, row in enumerate(rows) for part in _row(row, 10 + number * _ROW, length)),
        *_rates(episode, 16 + len(rows) * _ROW, length),
        "</svg>",
    ]
    return "\n".join(parts)


def _rows(episode: Episode) -> list[Row]:
    records, began = episode.records, episode.began
    rows = []
    for fault in records.faults:
        begin = fault.on - began
        name = fault.options.get("fault") or fault.options.get("toxic") or fault.kind
        text = f"{fault.kind} {fault.target} {name}: {begin:.1f} to {fault.over - began:.1f} s"
        label = f"{name} {fault.target}"
        marks = [Mark(begin, max(begin, fault.over - began), "fault", text)]
        marks += [
            Mark(begin + one.seconds, begin + one.seconds, "seen", f"noticed after {one.seconds:.2f} s: {one.what}")
            for one in records.seen
            if one.fault == fault.number
        ]
        rows.append(Row(label, marks))
    spans = open_spans(records)
    for name in dict.fromkeys(name for name, _, _ in spans):
        marks = [
            Mark(_since(episode, opened), _since(episode, until) if until else _since(episode, opened), "circuit", name)
            for one, opened, until in spans
            if one == name
        ]
        rows.append(Row(f"{name} open", marks))
    if episode.unready:
        bad = [Mark(at - began, at - began + 0.1, "unready", text[:120]) for at, text in episode.unready]
        rows.append(Row("health not ready", bad))
    return rows


def _row(row: Row, top: float, length: float) -> list[str]:
    parts = [f'<text x="{_LEFT - 8}" y="{top + 14}" class="label">{escape(row.label[:26])}</text>']
    for mark in row.marks:
        x, width = _x(mark.begin, length), max(3.0, (mark.end - mark.begin) / length * _PLOT)
        title = f"<title>{escape(mark.text)}</title>"
        if mark.colour == "seen":
            parts.append(f'<path class="seen" d="M{x:.1f} {top + 2} l5 14 h-10 z">{title}</path>')
        else:
            place = f'x="{x:.1f}" y="{top + 4}" width="{width:.1f}"'
            parts.append(f'<rect class="{mark.colour}" {place} height="12" rx="2">{title}</rect>')
    return parts


def _rates(episode: Episode, top: float, length: float) -> list[str]:
    """Two lines: orders accepted by us and orders acknowledged by brokers, per slice of time."""
    parts = []
    for name, label in (("accepted_at", "accepted"), ("acknowledged_at", "acknowledged")):
        counts = [0] * _BUCKETS
        for order in episode.records.orders:
            if order[name]:
                at = _since(episode, datetime.fromisoformat(order[name]))
                counts[min(_BUCKETS - 1, max(0, int(at / length * _BUCKETS)))] += 1
        most = max([1, *counts])
        points = " ".join(
            f"{_LEFT + (number + 0.5) * _PLOT / _BUCKETS:.1f},{top + 34 - count / most * 30:.1f}"
            for number, count in enumerate(counts)
        )
        parts.append(f'<text x="{_LEFT - 8}" y="{top + 26}" class="label">orders {label}</text>')
        parts.append(f'<polyline class="rate" points="{points}"><title>at most {most} per slice</title></polyline>')
        top += 42
    return parts


def _axis(length: float, height: float) -> list[str]:
    step = next(one for one in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if length / one <= 12)
    parts = []
    for number in range(int(length // step) + 1):
        x = _x(number * step, length)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="6" x2="{x:.1f}" y2="{height - 22}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{height - 8}">{number * step} s</text>')
    return parts


def _recovered(episode: Episode, length: float, height: float) -> list[str]:
    """A line at the moment from which everything was well again."""
    records = episode.records
    if records.recovered_seconds is None or not records.faults:
        return []
    x = _x(max(fault.over for fault in records.faults) - episode.began + records.recovered_seconds, length)
    title = f"<title>recovered {records.recovered_seconds:.1f} s after the last fault</title>"
    return [f'<line class="well" x1="{x:.1f}" y1="6" x2="{x:.1f}" y2="{height - 22}">{title}</line>']


def _moments(episode: Episode) -> list[float]:
    ends = [order["acknowledged_at"] or order["accepted_at"] for order in episode.records.orders]
    moments = [_since(episode, datetime.fromisoformat(end)) for end in ends]
    if episode.records.recovered_seconds is not None and episode.records.faults:
        over = max(fault.over for fault in episode.records.faults) - episode.began
        moments.append(over + episode.records.recovered_seconds)
    return moments


def _since(episode: Episode, at: datetime) -> float:
    return (at - episode.began_at).total_seconds() if episode.began_at else 0.0


def _x(seconds: float, length: float) -> float:
    return _LEFT + seconds / length * _PLOT
