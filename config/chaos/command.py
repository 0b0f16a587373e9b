"""The command line of the chaos runs: ``manage.py chaos``, ``make chaos``, ``python -m config.chaos``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from math import inf
from pathlib import Path

from rich.console import Console

from config.chaos.campaign import run_campaign, write_summary
from config.chaos.endurance import NAME, run_endurance
from config.chaos.episode import Episode, Outcome
from config.chaos.facts import describe
from config.chaos.report import write_report
from config.chaos.run import Say, is_red, run_all, run_sabotaged
from config.chaos.scenario import Scenario, ScenarioError, read_all, select
from config.chaos.summary import EpisodeRow, row_of
from config.chaos.table import print_tables
from config.stack.running import InstanceFailedError

DEFAULT_SEED = 1
_WIDTH = 150
REPORTS = Path(".stanchion") / "chaos"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="show the scenarios")
    run = actions.add_parser("run", help="run scenarios on a stack of their own and judge them")
    run.add_argument("names", nargs="+", metavar="NAME", help=f"names or numbers of scenarios, all, ci, or {NAME}")
    run.add_argument("--seed", type=int, default=DEFAULT_SEED, help="decides moments, victims and orders")
    run.add_argument("--seeds", type=int, default=1, metavar="COUNT", help="so many seeds, from --seed on")
    run.add_argument("--sabotage", action="store_true", help="take each one's protection away: it must fail")
    run.add_argument("--report", type=Path, default=REPORTS, help="folder for report.html and report.json")
    run.add_argument("--rate", type=float, default=50.0, help=f"of {NAME}: orders a second")
    run.add_argument("--minutes", type=float, default=10.0, help=f"of {NAME}: how long")
    run.add_argument("--every", type=float, default=20.0, metavar="SECONDS", help=f"of {NAME}: between two faults")
    campaign = actions.add_parser("campaign", help="run many seeds, resumable, and write a summary of all")
    campaign.add_argument("names", nargs="*", metavar="NAME", help="scenarios; all by default")
    campaign.add_argument("--seed", type=int, default=DEFAULT_SEED, help="the first seed")
    campaign.add_argument("--seeds", type=int, default=10, metavar="COUNT")
    campaign.add_argument("--minutes", type=float, default=inf, help="begin nothing new after this; go on another time")
    campaign.add_argument("--file", type=Path, default=REPORTS / "campaign.jsonl", help="a line per finished episode")
    campaign.add_argument("--summary", type=Path, default=Path("docs/evidence/chaos-campaign.json"))
    campaign.add_argument("--only-summary", action="store_true", help="run nothing")


def execute(options: argparse.Namespace, console: Console | None = None) -> int:
    """Carry out a command; returns the exit status."""
    console = console or _console()
    try:
        return {"list": _list, "run": _run, "campaign": _campaign}[options.action](options, console)
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
    if NAME in options.names:
        return _endure(options, console)
    scenarios = select(options.names, read_all())
    seeds = list(range(options.seed, options.seed + options.seeds))
    say = _say(console)
    if options.sabotage:
        return _sabotaged(scenarios, seeds[0], console, say)
    episodes: list[Episode] = []
    facts = describe("chaos run " + " ".join(options.names), seeds)
    for episode in run_all([(one, seed) for seed in seeds for one in scenarios], say):
        episodes.append(episode)
        write_report(options.report, episodes, facts)
    rows = [row_of(one) for one in episodes]
    print_tables(console, rows)
    console.print(f"report: {options.report / 'report.html'}", highlight=False)
    return _status(rows)


def _endure(options: argparse.Namespace, console: Console) -> int:
    """Steady load under failure: its own figures beside the usual tables."""
    facts = describe(f"chaos run {NAME}", [options.seed])
    episode, load = run_endurance(options.rate, options.minutes, options.every, options.seed, _say(console))
    for finding in episode.findings[:20]:
        console.print(str(finding), highlight=False, markup=False)
    print_tables(console, [row_of(episode)])
    for name, value in asdict(load).items():
        console.print(f"{name.replace('_', ' '):<24} {'never' if value is None else round(value, 3)}", highlight=False)
    write_report(options.report, [episode], {**facts, "load": asdict(load)})
    console.print(f"report: {options.report / 'report.html'}", highlight=False)
    return _status([row_of(episode)])


def _campaign(options: argparse.Namespace, console: Console) -> int:
    scenarios = select(options.names or ["all"], read_all())
    seeds = list(range(options.seed, options.seed + options.seeds))
    if not options.only_summary:
        run_campaign(options.file, scenarios, seeds, options.minutes, _say(console))
    rows = write_summary(options.file, options.summary)
    print_tables(console, rows)
    console.print(f"summary: {options.summary}", highlight=False)
    return _status(rows)


def _status(rows: Sequence[EpisodeRow]) -> int:
    return 1 if any(row.outcome in (Outcome.FAILED, Outcome.VOID) for row in rows) else 0


def _say(console: Console) -> Say:
    return lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True)


def _sabotaged(scenarios: Sequence[Scenario], seed: int, console: Console, say: Say) -> int:
    """Run each scenario without its protection; status 1 when one stays green."""
    green = []
    for episode in run_sabotaged(scenarios, seed, say):
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
