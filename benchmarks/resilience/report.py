"""The table of the resilience benchmark, and its figures per case."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from benchmarks.measure import spread
from benchmarks.resilience.floors import PLAIN, PLAIN_ASYNC
from benchmarks.resilience.loops import KINDS
from benchmarks.resilience.product import CIRCUIT, GUARD, RETRY

Key = tuple[str, str, str]  # section, subject, kind
Turns = Mapping[Key, Sequence[Mapping[str, Any]]]
_OURS = {
    "breaker": CIRCUIT,
    "breaker, coroutine": CIRCUIT,
    "guard": GUARD,
    "guard, coroutine": GUARD,
    "retry": RETRY,
    "retry, coroutine": RETRY,
}
_FAILED = {"retry": "not retried", "retry, coroutine": "not retried"}


def results_of(turns: Turns) -> list[dict[str, Any]]:
    """Return one entry per case: medians, extremes and ratios of its turns, in nanoseconds, or its error."""
    return [{**dict(zip(("section", "subject", "kind"), key, strict=True)), **_figures(key, turns)} for key in turns]


def tables_of(turns: Turns) -> list[Table]:
    """Return a table per section, cheapest admitted call first; CPU is the median with [min-max], wall the median."""
    sections: dict[str, list[str]] = {}
    for section, subject, _ in turns:
        subjects = sections.setdefault(section, [])
        if subject not in subjects:
            subjects.append(subject)
    return [_table(section, subjects, turns) for section, subjects in sections.items()]


def _table(section: str, subjects: Sequence[str], turns: Turns) -> Table:
    table = Table(title=f"{section}: ns per call", title_justify="left")
    table.add_column("subject", no_wrap=True)
    titles = {"admitted": "admitted", "rejected": "rejected", "failed": _FAILED.get(section, "failed call")}
    for kind in KINDS:
        if any((section, subject, kind) in turns for subject in subjects):
            for title in (f"{titles[kind]}\nCPU", "\nwall", "x ours\nwall"):
                table.add_column(title, justify="right", no_wrap=True)
    table.add_column("admitted\nx plain", justify="right", no_wrap=True)
    for subject in sorted(subjects, key=lambda name: _order(turns.get((section, name, "admitted"), ()))):
        table.add_row(subject, *_cells(section, subject, subjects, turns))
    return table


def _cells(section: str, subject: str, subjects: Sequence[str], turns: Turns) -> list[str]:
    cells = []
    for kind in KINDS:
        if not any((section, other, kind) in turns for other in subjects):
            continue
        key = (section, subject, kind)
        own = _measured(turns.get(key, ()))
        if own:
            ratio = _ratio(own, _measured(turns.get((section, _OURS.get(section, ""), kind), ())), "wall")
            cells += [spread(_values(own, "cpu")), f"{statistics.median(_values(own, 'wall')):.0f}", ratio]
        else:
            cells += ["breaks" if turns.get(key) else "-", "", ""]
    plain = _measured(turns.get(_plain_key(section), ()))
    cells.append(_ratio(_measured(turns.get((section, subject, "admitted"), ())), plain, "cpu"))
    return cells


def _figures(key: Key, turns: Turns) -> dict[str, Any]:
    section, _, kind = key
    own = _measured(turns[key])
    errors = [turn["error"] for turn in turns[key] if "error" in turn]
    if not own:
        return {"error": errors[0] if errors else "not measured"}
    figures: dict[str, Any] = {"turns": len(own)}
    for name in ("cpu", "wall", "process_cpu"):
        values = _values(own, name)
        figures[f"{name}_ns"] = {
            "median": round(statistics.median(values), 1),
            "min": round(min(values), 1),
            "max": round(max(values), 1),
        }
    plain = _measured(turns.get(_plain_key(section), ()))
    ours = _measured(turns.get((section, _OURS.get(section, ""), kind), ()))
    figures["admitted_x_plain_cpu"] = _ratio(own, plain, "cpu") if kind == "admitted" else None
    figures["x_ours_wall"], figures["x_ours_cpu"] = _ratio(own, ours, "wall"), _ratio(own, ours, "cpu")
    if errors:
        figures["error"] = errors[0]
    return figures


def _plain_key(section: str) -> Key:
    return ("floor", PLAIN_ASYNC if section.endswith("coroutine") else PLAIN, "admitted")


def _measured(turns: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [turn for turn in turns if "error" not in turn]


def _values(turns: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [float(turn[name]) for turn in turns]


def _order(turns: Sequence[Mapping[str, Any]]) -> float:
    values = _values(_measured(turns), "wall")
    return statistics.median(values) if values else float("inf")


def _ratio(turns: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]], name: str) -> str:
    """Return the ratio of the medians; a dash where one of them is missing."""
    if not turns or not others:
        return "-"
    ratio = statistics.median(_values(turns, name)) / statistics.median(_values(others, name))
    return f"{ratio:.2g}" if ratio < 10 else f"{ratio:,.0f}"
