"""How fast trading goes on elsewhere: ``make bench-failover``, or ``python -m benchmarks.bench_failover``.

On a stack of its own with two simulated brokers, under a flow of orders: accounts of a route fail and the next
one takes over, there and back; first addresses of a broker fail; order streams fall silent, go mute and are cut,
with and without a standby; feeds of market data fall silent; processes that hold streams are killed. Prints
the distribution of each, and saves every figure. Status 1 when an aim is missed or an order was not carried out
exactly once.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.evidence import machine_line, write_evidence
from benchmarks.failover.accounts import FAILURES, measure_switch
from benchmarks.failover.addresses import KINDS, measure_address
from benchmarks.failover.feeds import FEED_FAULTS, SYMBOL, measure_feed
from benchmarks.failover.streams import SILENCES, measure_silence, measure_takeover
from benchmarks.failover.verdict import find_problems
from benchmarks.measure import Noise, percentile
from benchmarks.turns import print_wide
from config.chaos.market import subscribe_feeds
from config.chaos.stack import Broker, Stack, running_stack, wait_until

SIZES = {
    "accounts": "switches",
    "addresses": "addresses",
    "streams": "silences",
    "feeds": "feeds",
    "takeovers": "takeovers",
}
AIMS = {"switch": 5.0, "noticed": 1.0, "all_in": 10.0, "feed": 5.0, "taken_over": 5.0}
console = Console()


def main() -> int:
    arguments = _parse()
    parts = arguments.only or SIZES
    console.print(machine_line(), highlight=False)
    results = resumed(Path(arguments.save)) if arguments.resume else []
    if all(left(part, arguments, results) == 0 for part in parts):
        console.print("nothing is left to measure", highlight=False)
        return 0
    earlier = len(results)
    with running_stack({"STANCHION_LOG_LEVEL": "WARNING"}) as stack:
        noise = Noise([stack.instance.supervisor.pid])
        for part in parts:
            wanted = getattr(arguments, SIZES[part])
            numbers = range(wanted - left(part, arguments, results), wanted)
            for number, figures in zip(numbers, MEASURE[part](stack, numbers) if numbers else (), strict=True):
                results.append({"part": part, **figures})
                console.print(f"{part} {number + 1} of {wanted}: {figures}", highlight=False)
                _save(arguments, results, others_used=round(noise.share(), 2), resumed_after=earlier)
        problems = find_problems(stack)
        others = round(noise.share(), 2)
    print_wide(console, distribution_table(results))
    missed = [f"{name}: {worst:.2f} s, aim {aim:g} s" for name, worst, aim in find_missed(results)]
    for line in (*missed, *problems):
        console.print(f"[red]{line}[/]", highlight=False)
    console.print(f"other programs used {others:.0%} of all cores; {len(problems)} problems", highlight=False)
    _save(arguments, results, problems=problems, missed=missed, others_used=others, resumed_after=earlier)
    return 1 if missed or problems else 0


def left(part: str, arguments: argparse.Namespace, results: Sequence[Mapping[str, Any]]) -> int:
    """Return how many measurements of a part are not among the results yet."""
    return max(0, int(getattr(arguments, SIZES[part])) - sum(result.get("part") == part for result in results))


def resumed(path: Path) -> list[dict[str, Any]]:
    """Return the figures that an earlier run saved; none where there is no file. Its orders are not judged again."""
    if not path.is_file():
        return []
    return [result for result in json.loads(path.read_text())["results"] if "part" in result]


def _save(arguments: argparse.Namespace, results: list[dict[str, Any]], **summary: Any) -> None:
    """Write what there is so far: a run takes long, and half of one says something, too."""
    if arguments.save:
        parameters = {name: getattr(arguments, name) for name in SIZES.values()}
        summary = {"distribution": distribution(results), **summary}
        write_evidence(Path(arguments.save), "failover", parameters, [*results, summary])


def _accounts(stack: Stack, numbers: range) -> Iterator[dict[str, Any]]:
    """Switch there and back: the account that failed last is the one that takes over next."""
    places: tuple[tuple[Broker, Broker], ...] = (("a", "b"), ("b", "a"))
    for number in numbers:
        first, second = places[number % 2]
        yield measure_switch(stack, FAILURES[(number // 2) % len(FAILURES)], first, second)


def _addresses(stack: Stack, numbers: range) -> Iterator[dict[str, Any]]:
    for number in numbers:
        yield measure_address(stack, list(KINDS)[number % len(KINDS)])


def _streams(stack: Stack, numbers: range) -> Iterator[dict[str, Any]]:
    for number in numbers:
        yield measure_silence(stack, SILENCES[number % len(SILENCES)])


def _feeds(stack: Stack, numbers: range) -> Iterator[dict[str, Any]]:
    subscribe_feeds(stack, SYMBOL)
    for number in numbers:
        yield measure_feed(stack, list(FEED_FAULTS)[number % len(FEED_FAULTS)], number)


def _takeovers(stack: Stack, numbers: range) -> Iterator[dict[str, Any]]:
    """Two processes beside the stack's own, which is stopped: so that a killed one can be started again."""
    stack.instance.control.stop("streams")
    with ExitStack() as running:

        def start_another() -> None:
            child = running.enter_context(stack.beside("streams-beside", ["manage.py", "run_streams"]))
            wait_until(lambda: stack.count_living([child.pid]) == 1, "another stream process is there")

        start_another()
        start_another()
        for _ in numbers:
            yield measure_takeover(stack, start_another)
    stack.instance.control.start("streams")
    wait_until(lambda: not stack.not_healthy(), "the stack is healthy")


MEASURE: dict[str, Callable[[Stack, range], Iterator[dict[str, Any]]]] = {
    "accounts": _accounts,
    "addresses": _addresses,
    "streams": _streams,
    "feeds": _feeds,
    "takeovers": _takeovers,
}
_SECONDS = {
    "seconds": ("switch", "last order at the first -> first at the next"),
    "noticed": ("noticed", "silence -> noticed"),
    "all_in": ("all_in", "executed -> recorded, the longest"),
    "feed_noticed": ("noticed", "feed silent -> noticed"),
    "feed_delivers": ("feed", "feed silent -> the other one's bar is used"),
    "taken_over": ("taken_over", "process killed -> stream taken over"),
}


def _address_case(result: dict[str, Any]) -> str:
    return f"first address {result['address']}" if "address" in result else ""


def _series(results: list[dict[str, Any]]) -> dict[tuple[str, str], list[float]]:
    """Return the figures by what they measure and in which case."""
    series: dict[tuple[str, str], list[float]] = {}
    for result in results:
        case = (
            result.get("failure")
            or _address_case(result)
            or result.get("silence")
            or result.get("feed")
            or "stream process killed"
        )
        for name in _SECONDS:
            if name in result:
                series.setdefault((name, case), []).append(result[name])
                series.setdefault((name, "all"), []).append(result[name])
    return dict(sorted(series.items(), key=lambda item: (list(_SECONDS).index(item[0][0]), item[0][1] == "all")))


def distribution_table(results: list[dict[str, Any]]) -> Table:
    """Return the distribution as it is printed."""
    table = Table(title="Failover")
    for title in ("measure", "case", "n", "min", "p50", "p95", "max", "aim"):
        table.add_column(title, justify="left" if title in ("measure", "case") else "right")
    for row in distribution(results):
        places = (f"{row[name]:.2f}" for name in ("min", "p50", "p95", "max"))
        table.add_row(row["measure"], row["case"], str(row["n"]), *places, f"< {row['aim']:g}" if row["aim"] else "")
    return table


def distribution(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per measure and case: how many, and the places of their distribution in seconds."""
    return [
        {
            "measure": _SECONDS[name][1],
            "case": case,
            "n": len(values),
            "min": min(values),
            "p50": round(statistics.median(values), 3),
            "p95": round(percentile(values, 0.95), 3),
            "max": max(values),
            "aim": AIMS[_SECONDS[name][0]] if case == "all" else None,
        }
        for (name, case), values in _series(results).items()
    ]


def find_missed(results: list[dict[str, Any]]) -> list[tuple[str, float, float]]:
    """Return each measure whose longest figure misses its aim, with both."""
    worst = {name: max(values) for (name, case), values in _series(results).items() if case == "all"}
    aims = {name: AIMS[key] for name, (key, _) in _SECONDS.items()}
    return [(_SECONDS[name][1], value, aims[name]) for name, value in worst.items() if value >= aims[name]]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure failover between accounts, endpoints and processes.")
    parser.add_argument("--switches", type=int, default=64, help="switches between accounts (64)")
    parser.add_argument("--addresses", type=int, default=10, help="first addresses that fail (10)")
    parser.add_argument("--silences", type=int, default=30, help="streams that fall silent (30)")
    parser.add_argument("--feeds", type=int, default=60, help="feeds of market data that fall silent (60)")
    parser.add_argument("--takeovers", type=int, default=10, help="stream processes killed (10)")
    parser.add_argument("--only", action="append", choices=tuple(SIZES), help="this part alone; repeat for several")
    parser.add_argument("--save", metavar="FILE", help="write every figure, with machine and versions")
    parser.add_argument("--resume", action="store_true", help="go on with what --save has of an earlier run")
    arguments = parser.parse_args()
    if arguments.resume and not arguments.save:
        parser.error("--resume needs --save FILE")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
