"""The command line of the chaos runs: ``manage.py chaos``, ``make chaos``, ``python -m config.chaos``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from config.chaos.episode import Episode, Outcome
from config.chaos.facts import describe
from config.chaos.report import write_report
from config.chaos.run import is_red, run_all, run_sabotaged
from config.chaos.scenario import Scenario, ScenarioError, read_all, select
from config.chaos.table import print_tables
from config.stack.running import InstanceFailedError

DEFAULT_SEED = 1
_WIDTH = 150
REPORTS = Path(".stanchion") / "chaos"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="show the scenarios")
    run = actions.add_parser("run", help="run scenarios on a stack of their own and judge them")
    run.add_argument("names", nargs="+", metavar="NAME", help="names or numbers of scenarios, all, or ci")
    run.add_argument("--seed", type=int, default=DEFAULT_SEED, help="decides moments, victims and orders")
    run.add_argument("--seeds", type=int, default=1, metavar="COUNT", help="so many seeds, from --seed on")
    run.add_argument("--sabotage", action="store_true", help="take each one's protection away: it must fail")
    run.add_argument("--report", type=Path, default=REPORTS, help="folder for report.html and report.json")


def execute(options: argparse.Namespace, console: Console | None = None) -> int:
    """Carry out a command; returns the exit status."""
    console = console or _console()
    try:
        return {"list": _list, "run": _run}[options.action](options, console)
    except ScenarioError as error:
        console.print(f"[red]{error}[/]", highlight=False)
        return 2
    except InstanceFailedError as error:
        console.print(f"[red]the stack did not come up: {error}[/]", highlight=False)
        return 3


def _console() -> Console:
    """Return a console on which the tables fit, also where it is no terminal."""
    return Console() if sys.stdout.isatty() else Console(width=_WIDTH)


def _list(options: argparse.Namespace, console: Console) -> int:
    for one in read_all():
        mark = "not run" if one.not_run else "ci" if one.in_ci else ""
        console.print(f"{one.number:>3}  {one.name:<28} {mark:<8} {one.title}", highlight=False)
    return 0


def _run(options: argparse.Namespace, console: Console) -> int:
    scenarios = select(options.names, read_all())
    seeds = list(range(options.seed, options.seed + options.seeds))

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    if options.sabotage:
        return _sabotaged(scenarios, seeds[0], console, say)
    episodes: list[Episode] = []
    facts = describe("chaos run " + " ".join(options.names), seeds)
    for episode in run_all(scenarios, seeds, say):
        episodes.append(episode)
        write_report(options.report, episodes, facts)
    print_tables(console, episodes)
    console.print(f"report: {options.report / 'report.html'}", highlight=False)
    return 1 if any(one.outcome in (Outcome.FAILED, Outcome.VOID) for one in episodes) else 0


def _sabotaged(scenarios: Sequence[Scenario], seed: int, console: Console, say: object) -> int:
    """Run each scenario without its protection; status 1 when one stays green."""
    green = []
    for episode in run_sabotaged(scenarios, seed, say):  # type: ignore[arg-type]
        if episode.outcome is Outcome.NOT_RUN:
            verdict = f"not run: {episode.reason}"
        elif is_red(episode):
            verdict = f"red, as it must be: {episode.findings[0]}"
        else:
            verdict = f"NOT SHOWN RED: {episode.outcome} {episode.reason} {'; '.join(map(str, episode.findings[:3]))}"
            green.append(episode.scenario.name)
        console.print(
            f"{episode.scenario.number:>3}  {episode.scenario.name:<28} {verdict}", highlight=False, markup=False
        )
    return 1 if green else 0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m config.chaos", description=__doc__)
    add_arguments(parser)
    try:
        return execute(parser.parse_args(arguments))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
