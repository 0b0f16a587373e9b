"""The product beside its peers doing the same job: ``python -m benchmarks.bench_orders``.

Contenders take turns within a round, so that a noisy minute meets all of them alike. Each turn is
a process of its own with fresh servers. Figures depend on the machine; nothing fails because of them.
"""

import argparse
import json
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.evidence import machine_line, write_evidence
from benchmarks.measure import fixed_loop_ms
from benchmarks.order_load import Load, Run
from benchmarks.order_table import orders_table
from benchmarks.peers.registry import PRODUCT_MODULE, all_contenders, product_is_there
from benchmarks.services import Services
from benchmarks.turns import end_orderly_on_sigterm, print_wide, run_turn_in_child

QUICK = Load(fast=300, slow=200, drain=300, paced=40)
console = Console()


def main() -> int:
    arguments = _parse()
    end_orderly_on_sigterm()
    load = QUICK if arguments.quick else Load()
    if arguments.one:
        run_turn(arguments.one, load, Path(arguments.out))
        return 0
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    names = arguments.only or list(all_contenders())
    console.print(f"{machine_line()}\n{', '.join(names)}; {rounds} round(s), {load}")
    if not product_is_there():
        console.print(f"[yellow]stanchion is skipped: {PRODUCT_MODULE} is not in the tree[/]")
    results = run_rounds(names, rounds, quick=arguments.quick)
    print_wide(console, orders_table(results))
    if arguments.json:
        parameters = {"rounds": rounds, "load": asdict(load)}
        write_evidence(Path(arguments.json), "orders", parameters, results)
        console.print(f"written: {arguments.json}")
    return 0


def run_rounds(names: Sequence[str], rounds: int, *, quick: bool) -> list[dict[str, Any]]:
    """Give every contender its turn in every round; a turn that failed is a result that says why."""
    results = []
    with console.status("") as status:
        for number in range(1, rounds + 1):
            for name in names:
                status.update(f"round {number}/{rounds}: {name}")
                result = {
                    "contender": name,
                    "round": number,
                    **run_turn_in_child(
                        "benchmarks.bench_orders", name, ["--one", name, *(["--quick"] if quick else [])]
                    ),
                }
                results.append(result)
                console.print(_summary(result), highlight=False)
    return results


def run_turn(name: str, load: Load, out: Path) -> None:
    """Measure one contender in this process and write its figures, or its error, to ``out``."""
    contender = all_contenders()[name]()
    result: dict[str, Any] = {"name": contender.name, "batch": contender.batch}
    before = fixed_loop_ms()
    with Services() as services:
        try:
            contender.start(services)
            result |= Run(contender, services).measure(load, lambda step: print(step, flush=True))
        except Exception:  # one contender's failure must not end the run
            result["error"] = traceback.format_exc(limit=-3)
        finally:
            contender.stop()
    result["fixed_loop_ms"] = {"before": before, "after": fixed_loop_ms()}
    out.write_text(json.dumps(result))


def _summary(result: dict[str, Any]) -> str:
    if "error" in result:
        return f"  {result['name']}: failed\n{result['error']}"
    return (
        f"  {result['name']}: {result['fast']['orders_per_second']:.0f}/s at 0 ms, "
        f"{result['slow']['orders_per_second']:.0f}/s at 20 ms, p50 {result['p50_ms']:.1f} ms, "
        f"{result['fast']['cpu']:.2f} CPU s/1000, others used {result['fast']['noise']:.0%}, "
        f"fixed loop {result['fixed_loop_ms']['before']:.1f} and {result['fixed_loop_ms']['after']:.1f} ms"
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare the product with its peers on the same orders.")
    parser.add_argument("--rounds", type=int, help="turns of each contender (3; with --quick 1)")
    parser.add_argument("--quick", action="store_true", help="few orders: checks that it runs, its figures mean little")
    parser.add_argument("--only", action="append", metavar="NAME", help="this contender alone; repeat for several")
    parser.add_argument("--json", metavar="FILE", help="write every figure, with machine and versions")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for name in [*(arguments.only or []), *([arguments.one] if arguments.one else [])]:
        if name not in all_contenders():
            parser.error(f"no contender {name!r}; there are: {', '.join(all_contenders())}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
