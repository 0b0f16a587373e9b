"""The table of the order benchmark."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from rich.table import Table

from benchmarks.measure import percentile, spread
from benchmarks.peers.registry import BASELINE

Result = dict[str, Any]
_COLUMNS = (
    "orders/s\n0 ms",
    "orders/s\n20 ms",
    "drain orders/s\n0 ms",
    "drain orders/s\n20 ms",
    "call to record\np50 / p99 ms",
    "durable to record\np50 / p99 ms",
    "CPU s per\n1,000 orders",
    "x Celery\n0 / 20 ms",
    "x Celery\ndrain 0 / 20 ms",
    "x Celery\nCPU",
    "others\nused",
    "fixed loop\nms",
    "doubled",
)


def orders_table(results: Sequence[Result]) -> Table:
    """Return one row per contender: medians over the rounds with [min-max], fastest first."""
    table = Table(title="Orders accepted, carried out and recorded")
    table.add_column("contender", no_wrap=True)
    for title in _COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result["contender"], []).append(result)
    baseline = {result["round"]: result for result in groups.get(BASELINE, []) if "error" not in result}
    measured = {name: [result for result in group if "error" not in result] for name, group in groups.items()}
    for name in sorted(groups, key=lambda key: -_median(measured[key], _fast)):
        if measured[name]:
            table.add_row(groups[name][0]["name"], *_cells(measured[name], baseline))
        else:
            table.add_row(groups[name][0]["name"], "failed")
    return table


def _cells(rounds: Sequence[Result], baseline: dict[int, Result]) -> list[str]:
    paced = [value for result in rounds for value in result["paced_ms"]]
    durable = [value for result in rounds for value in result["durable_ms"]]
    return [
        spread([_fast(result) for result in rounds]),
        spread([_slow(result) for result in rounds]),
        spread([_drain(result) for result in rounds]),
        spread([_slow_drain(result) for result in rounds]),
        f"{percentile(paced, 0.5):.1f} / {percentile(paced, 0.99):.1f}",
        f"{percentile(durable, 0.5):.1f} / {percentile(durable, 0.99):.1f}",
        spread([_cpu(result) for result in rounds], 2),
        f"{_ratio(rounds, baseline, _fast)} / {_ratio(rounds, baseline, _slow)}",
        f"{_ratio(rounds, baseline, _drain)} / {_ratio(rounds, baseline, _slow_drain)}",
        _ratio(rounds, baseline, _cpu),
        f"{max(result['fast']['noise'] for result in rounds):.0%}",
        spread([ms for result in rounds for ms in result["fixed_loop_ms"].values()], 1),
        str(sum(result["duplicates"] for result in rounds)),
    ]


def _ratio(rounds: Sequence[Result], baseline: dict[int, Result], figure: Callable[[Result], float]) -> str:
    """Return the median of the ratios taken within each round."""
    ratios = [figure(result) / figure(baseline[result["round"]]) for result in rounds if result["round"] in baseline]
    return f"{statistics.median(ratios):.2f}" if ratios else "-"


def _median(rounds: Sequence[Result], figure: Callable[[Result], float]) -> float:
    return statistics.median(map(figure, rounds)) if rounds else 0.0


def _fast(result: Result) -> float:
    return float(result["fast"]["orders_per_second"])


def _slow(result: Result) -> float:
    return float(result["slow"]["orders_per_second"])


def _drain(result: Result) -> float:
    return float(result["drain_per_second"])


def _slow_drain(result: Result) -> float:
    return float(result["slow_drain_per_second"])


def _cpu(result: Result) -> float:
    return float(result["fast"]["cpu"])
