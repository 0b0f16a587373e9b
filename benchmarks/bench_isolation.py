"""What a hanging broker takes from the other, and how waiting orders return: ``python -m benchmarks.bench_isolation``.

Each part runs on a stack of its own with two simulated brokers. Figures depend on the machine; nothing
fails because of them.
"""

import argparse
import json
import sys
import traceback
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.evidence import machine_line, write_evidence
from benchmarks.isolation.desk import running_desk
from benchmarks.isolation.hanging import PHASES, measure_round, prepare
from benchmarks.isolation.recovery import measure_recovery
from benchmarks.measure import Noise, spread
from benchmarks.turns import end_orderly_on_sigterm, print_wide, run_turn_in_child

PARTS = ("hanging", "paced", "unpaced")
_UNPACED = {"DJANGO_SETTINGS_MODULE": "benchmarks.isolation.unpaced_settings"}
console = Console()


def main() -> int:
    arguments = _parse()
    end_orderly_on_sigterm()
    if arguments.one:
        run_part(arguments)
        return 0
    console.print(machine_line(), highlight=False)
    results = []
    for part in arguments.only or PARTS:
        turn = ["--one", part, "--rounds", str(arguments.rounds), "--orders", str(arguments.orders)]
        turn += ["--waiting", str(arguments.waiting), "--steady", str(arguments.steady)]
        results.append({"part": part, **run_turn_in_child("benchmarks.bench_isolation", part, turn)})
        show(results[-1])
    if arguments.save:
        parameters = {name: getattr(arguments, name) for name in ("rounds", "orders", "waiting", "steady")}
        write_evidence(Path(arguments.save), "isolation", parameters, results)
        console.print(f"written: {arguments.save}")
    return 0


def run_part(arguments: argparse.Namespace) -> None:
    """Measure one part in this process and write what came of it."""
    try:
        result = _measure(arguments)
    except Exception:  # one part's failure must not end the run
        result = {"error": traceback.format_exc(limit=-3)}
    Path(arguments.out).write_text(json.dumps(result))


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.one == "hanging":
        with running_desk() as desk:
            prepare(desk)
            noise = Noise([desk.instance.supervisor.pid])
            turns = []
            for number in range(arguments.rounds):
                turns += measure_round(desk, number, arguments.orders, arguments.steady)
            return {"turns": turns, "others_used": round(noise.share(), 2)}
    with running_desk(_UNPACED if arguments.one == "unpaced" else {}) as desk:
        noise = Noise([desk.instance.supervisor.pid])
        return {**measure_recovery(desk, arguments.waiting, arguments.steady), "others_used": round(noise.share(), 2)}


def show(result: dict[str, Any]) -> None:
    if "error" in result:
        console.print(f"{result['part']}: failed\n{result['error']}", highlight=False)
    elif result["part"] == "hanging":
        print_wide(console, hanging_table(result["turns"]))
    else:
        shown = {name: value for name, value in result.items() if name != "per_100_ms"}
        console.print(json.dumps(shown, indent=1), highlight=False)
        console.print(f"orders per 100 ms: {result['per_100_ms']}", highlight=False)


def hanging_table(turns: list[dict[str, Any]]) -> Table:
    """Return one row per phase; ratios are to the healthy phase of the same round."""
    table = Table(title="Broker B while broker A is healthy, hangs, and hangs with its circuits disabled")
    for title in ("phase", "orders/s", "x healthy", "p50 ms", "p99 ms", "calls to A", "waiting for A"):
        table.add_column(title, justify="left" if title == "phase" else "right")
    healthy = {turn["round"]: turn for turn in turns if turn["phase"] == "healthy"}
    for phase in PHASES:
        mine = [turn for turn in turns if turn["phase"] == phase]
        ratios = [turn["orders_per_second"] / healthy[turn["round"]]["orders_per_second"] for turn in mine]
        names = ("steady_p50_ms", "steady_p99_ms", "calls_to_a", "orders_waiting_for_a")
        figures = [spread([turn[name] for turn in mine]) for name in names]
        table.add_row(phase, spread([turn["orders_per_second"] for turn in mine]), spread(ratios, 2), *figures)
    return table


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure isolation between brokers and the pace of recovery.")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each phase of broker A (5)")
    parser.add_argument("--orders", type=int, default=1000, help="orders for broker B in a turn (1000)")
    parser.add_argument("--steady", type=float, default=5.0, help="seconds of a steady rate, and of idling (5)")
    parser.add_argument("--waiting", type=int, default=10_000, help="orders that wait for the dead broker (10000)")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part alone; repeat for several")
    parser.add_argument("--save", metavar="FILE", help="write every figure, with machine and versions")
    parser.add_argument("--one", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
