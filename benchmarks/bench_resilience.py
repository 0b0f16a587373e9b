"""What a call costs through breakers, guards and retries: ``python -m benchmarks.bench_resilience``.

Every library runs in a process of its own; all of them live at the same time and take turns within
a round, so that a noisy minute meets all alike. Nothing fails because of a figure.
"""

import argparse
import importlib.metadata
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.evidence import machine_line, write_evidence
from benchmarks.measure import Noise, wait_for_quiet
from benchmarks.resilience.families import FAMILIES
from benchmarks.resilience.product import CIRCUIT
from benchmarks.resilience.report import Key, results_of, tables_of
from benchmarks.resilience.workers import Store, Worker, WorkerError
from benchmarks.turns import end_orderly_on_sigterm, print_wide

AIM_NS = 1000
console = Console()


def main() -> int:
    arguments = _parse()
    end_orderly_on_sigterm()
    families = arguments.only or list(FAMILIES)
    rounds = arguments.rounds or (2 if arguments.quick else 9)
    seconds = 0.02 if arguments.quick else arguments.seconds
    console.print(f"{machine_line()}; {rounds} rounds of {seconds} s each, load {os.getloadavg()[0]:.1f}")
    findings: dict[str, str] = {}
    noise = Noise([os.getpid()])
    with Store() as store:
        turns = run_rounds(start_workers(families, store, findings), rounds, seconds, findings)
        store_version = store.version
    others, results = noise.share(), results_of(turns)
    for table in tables_of(turns):
        print_wide(console, table)
    _print_findings(results, findings)
    console.print(f"other programs used {others:.0%} of the machine; load {os.getloadavg()[0]:.1f} at the end")
    if arguments.save:
        parameters = {
            "rounds": rounds,
            "seconds": seconds,
            "others_share": round(others, 3),
            "load": [round(value, 2) for value in os.getloadavg()],
            "valkey": store_version,
            "packages": {name: _version(name) for name in _packages()},
            "findings": findings,
        }
        write_evidence(Path(arguments.save), "resilience", parameters, results)
        console.print(f"written: {arguments.save}")
    return 0


def start_workers(families: Sequence[str], store: Store, findings: dict[str, str]) -> list[Worker]:
    """Start the process of every family that is installed; what is not, or does not start, is a finding."""
    workers = []
    for family in families:
        missing = [name for name in FAMILIES[family].packages if _version(name) is None]
        if missing:
            findings[family] = f"not installed: {', '.join(missing)}"
            continue
        try:
            workers.append(Worker(family, store))
        except WorkerError as error:
            findings[family] = str(error)
    return workers


def run_rounds(
    workers: Sequence[Worker], rounds: int, seconds: float, findings: dict[str, str]
) -> dict[Key, list[dict[str, Any]]]:
    """Return the turns of each case. The first turn of a case prepares it and is left out."""
    alive = list(workers)
    turns: dict[Key, list[dict[str, Any]]] = {case: [] for worker in workers for case in worker.cases}
    columns = (TextColumn("{task.description:44}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=(rounds + 1) * len(turns))
        for number in range(rounds + 1):
            wait_for_quiet(patience_seconds=2.0)
            for worker in tuple(alive):
                words = f"round {number}/{rounds}: {worker.family}" if number else f"preparing {worker.family}"
                progress.update(task, description=words)
                try:
                    _take_turn(worker, seconds, turns, lambda: progress.advance(task), is_kept=number > 0)
                except WorkerError as error:
                    findings[worker.family] = str(error)
                    alive.remove(worker)
    for worker in alive:
        worker.close()
    return turns


def _take_turn(
    worker: Worker, seconds: float, turns: dict[Key, list[dict[str, Any]]], advance: Any, *, is_kept: bool
) -> None:
    for number, case in enumerate(worker.cases):
        if not any("error" in turn for turn in turns[case]):  # what broke once is not asked again
            figures = worker.measure(number, seconds)
            if is_kept or "error" in figures:
                turns[case].append(figures)
        advance()


def _print_findings(results: Sequence[dict[str, Any]], findings: dict[str, str]) -> None:
    for family, words in findings.items():
        console.print(f"[yellow]{family}: {words}[/]")
    for result in results:
        if "error" in result:
            words = f"{result['section']}, {result['subject']}, {result['kind']}: {result['error']}"
            console.print(f"[yellow]{words}[/]", highlight=False)
    ours = [one for one in results if one["section"] == "breaker" and one["subject"] == CIRCUIT]
    for one in ours:
        if one["kind"] != "failed" and "cpu_ns" in one:
            figure = one["cpu_ns"]["median"]
            verdict = "kept" if figure <= AIM_NS else "[yellow]missed[/]"
            console.print(f"aim of {AIM_NS} ns of CPU per {one['kind']} call: {figure:.0f} ns, {verdict}")


def _packages() -> list[str]:
    return sorted({"redis", *(name for family in FAMILIES.values() for name in family.packages)})


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure what a call costs through breakers, guards and retries.")
    parser.add_argument("--rounds", type=int, help="turns of each case (9; with --quick 2)")
    parser.add_argument("--seconds", type=float, default=0.1, help="length of a turn (0.1)")
    parser.add_argument(
        "--quick", action="store_true", help="short turns: checks that it runs, its figures mean little"
    )
    parser.add_argument("--only", action="append", choices=list(FAMILIES), help="this family alone; may be repeated")
    parser.add_argument("--save", metavar="FILE", help="write every figure, with machine and versions")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
