"""The command line of the chaos runs: ``manage.py chaos``, ``make chaos``, ``python -m config.chaos``."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import Any

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
        return _sabotaged(scenarios, options, console)
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
    for text in (*filter(None, [episode.reason]), *map(str, episode.findings[:20])):
        console.print(text, highlight=False, markup=False)
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


def _sabotaged(scenarios: Sequence[Scenario], options: argparse.Namespace, console: Console) -> int:
    """Run each scenario without its protection; status 1 when one stays green."""
    facts = describe("chaos run " + " ".join(options.names) + " --sabotage", [options.seed])
    shown: list[dict[str, Any]] = []
    for episode in run_sabotaged(scenarios, options.seed, _say(console)):
        shown.append(_sabotage_row(episode))
        console.print(_sabotage_line(shown[-1]), highlight=False, markup=False, soft_wrap=True)
        options.report.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**facts, "sabotaged": shown}, indent=1)
        (options.report / "sabotage.json").write_text(text + "\n")
    green = [row["scenario"] for row in shown if row["verdict"] == "green"]
    console.print(f"{len(shown) - len(green)} of {len(shown)} red or not run; not shown red: {green or 'none'}")
    return 1 if green else 0


def _sabotage_row(episode: Episode) -> dict[str, Any]:
    """Return what became of one scenario without its protection: ``red``, ``green`` or ``not run``."""
    sabotage = episode.scenario.sabotage
    harm = [str(one) for one in episode.findings if sabotage and one.invariant in sabotage.harm]
    verdict = "not run" if episode.outcome is Outcome.NOT_RUN else "red" if is_red(episode) else "green"
    return {
        "number": episode.scenario.number,
        "scenario": episode.scenario.name,
        "taken_away": [*(sabotage.protections if sabotage else ())],
        "verdict": verdict,
        "harm": harm[0] if harm else episode.reason,
        "findings": len(harm),
    }


def _sabotage_line(row: dict[str, Any]) -> str:
    what = {"red": "red, as it must be", "green": "NOT SHOWN RED", "not run": "not run"}[row["verdict"]]
    return f"{row['number']:>3}  {row['scenario']:<28} {what}: {row['harm']}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m config.chaos", description=__doc__)
    add_arguments(parser)
    try:
        return execute(parser.parse_args(arguments))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
