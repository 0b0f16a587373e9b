"""Orders lost and doubled under kill -9, naive Celery beside the product: ``python -m benchmarks.bench_loss``.

Every subject meets the same load and the same kills at the same instants (by seed), on servers of its
own. A stand-in broker that takes whatever it is sent is the judge.
"""

import argparse
import importlib
import importlib.util
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.evidence import machine_line, write_evidence
from benchmarks.loss.celery_subject import NaiveCelery
from benchmarks.loss.run import run_scenario
from benchmarks.loss.scenarios import SCENARIOS
from benchmarks.loss.subject import LossSubject
from benchmarks.turns import end_orderly_on_sigterm, print_wide, run_turn_in_child

PRODUCT_MODULE = "benchmarks.loss.stanchion"
DEFAULT = ("workers", "child", "redis", "workers_redis", "postgres_retry", "everything_aof")
console = Console()


def subjects() -> dict[str, Callable[[int], LossSubject]]:
    """Return makers of subjects, by name; the product's ``make_subject(seed)`` once its module is in the tree."""
    makers: dict[str, Callable[[int], LossSubject]] = {"celery": NaiveCelery}
    if importlib.util.find_spec(PRODUCT_MODULE) is not None:
        makers["stanchion"] = importlib.import_module(PRODUCT_MODULE).make_subject
    return makers


def main() -> int:
    arguments = _parse()
    end_orderly_on_sigterm()
    if arguments.one:
        run_turn(arguments)
        return 0
    if arguments.list:
        for name, scenario in SCENARIOS.items():
            console.print(f"{name:26}{scenario.note}", highlight=False)
        return 0
    names = list(SCENARIOS) if arguments.all else arguments.scenario or list(DEFAULT)
    console.print(f"{machine_line()}\n{arguments.orders} orders a run, seed {arguments.seed}: {', '.join(names)}")
    if "stanchion" not in subjects():
        console.print(f"[yellow]stanchion is skipped: {PRODUCT_MODULE} is not in the tree[/]")
    results = run_scenarios(names, arguments)
    print_wide(console, loss_table(results))
    if arguments.json:
        parameters = {"orders": arguments.orders, "seed": arguments.seed, "scenarios": names}
        write_evidence(Path(arguments.json), "loss", parameters, results)
        console.print(f"written: {arguments.json}")
    return 0


def run_scenarios(names: Sequence[str], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    results = []
    with console.status("") as status:
        for scenario in names:
            for subject in arguments.subject or subjects():
                status.update(f"{scenario}: {subject}")
                turn = ["--one", subject, "--scenario", scenario]
                turn += ["--orders", str(arguments.orders), "--seed", str(arguments.seed)]
                results.append(run_turn_in_child("benchmarks.bench_loss", subject, turn) | {"scenario": scenario})
                console.print(_summary(results[-1]), highlight=False)
    return results


def run_turn(arguments: argparse.Namespace) -> None:
    """Run one scenario with one subject in this process and write what came of it."""
    scenario = SCENARIOS[arguments.scenario[0]]
    subject = subjects()[arguments.one](arguments.seed)
    result: dict[str, Any] = {"name": subject.name}
    if reason := subject.unsupported(scenario):
        result["skipped"] = reason
    else:
        try:
            result |= run_scenario(subject, scenario, arguments.orders, arguments.seed)
        except Exception:  # one turn's failure must not end the run
            result["error"] = traceback.format_exc(limit=-3)
    Path(arguments.out).write_text(json.dumps(result))


def loss_table(results: Sequence[dict[str, Any]]) -> Table:
    """Return one row per scenario and subject."""
    table = Table(title="Orders lost and doubled under kills, by the broker's ledger")
    for title in ("scenario", "kills", "subject"):
        table.add_column(title, no_wrap=True)
    figures = (
        "orders",
        "lost",
        "of these\ntold accepted",
        "doubled",
        "unrecorded",
        "longest\npause s",
        "exits",
        "drained",
    )
    for title in figures:
        table.add_column(title, justify="right")
    previous = ""
    for result in results:
        if previous and result["scenario"] != previous:
            table.add_section()
        head = result["scenario"] if result["scenario"] != previous else ""
        previous = result["scenario"]
        table.add_row(head, _kills(result), result["name"], *_figures(result))
    return table


def _figures(result: dict[str, Any]) -> list[str]:
    if "error" in result or "skipped" in result:
        return ["failed" if "error" in result else result["skipped"]]
    keys = ("orders", "lost", "lost_told_accepted", "doubled", "unrecorded", "longest_pause_seconds", "exits")
    return [*(str(result[key]) for key in keys), "yes" if result["drained"] else "no"]


def _kills(result: dict[str, Any]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in result.get("kills", {}).items()) or "-"


def _summary(result: dict[str, Any]) -> str:
    head = f"  {result['scenario']}, {result['name']}:"
    if "error" in result:
        return f"{head} failed\n{result['error']}"
    if "skipped" in result:
        return f"{head} skipped, {result['skipped']}"
    return f"{head} {result['lost']} lost, {result['doubled']} doubled of {result['orders']} in {result['seconds']} s"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Count orders lost and doubled under kills.")
    parser.add_argument("--orders", type=int, default=2000, help="orders a run (2000)")
    parser.add_argument("--seed", type=int, default=1, help="decides what is killed when (1)")
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS), help="repeat for several")
    parser.add_argument("--subject", action="append", choices=list(subjects()), help="this subject alone")
    parser.add_argument("--all", action="store_true", help="every scenario")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    parser.add_argument("--json", metavar="FILE", help="write every figure, with machine and versions")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
