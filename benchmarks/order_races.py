"""Races at the broker, judged by its ledger: ``make order-races``, or ``python -m benchmarks.order_races --races 60``.

On a stack of its own with two simulated brokers, orders are canceled and replaced while they fill,
fills are told twice and out of turn, and replies are lost. Afterwards every order and every position
is compared with the brokers' own ledgers. Status 1 for any difference or any order
placed twice; the time outcomes were unknown is shown beside its aim.
"""

import argparse
import asyncio
import random
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.evidence import machine_line, write_evidence
from benchmarks.races.field import open_field
from benchmarks.races.parts import Outcome, lose_replies, percentile, race_changes, shuffle_fills
from config.chaos.stack import Stack, running_stack
from config.stack.judgement import Judgement, Verdict

UNKNOWN_LIMIT_SECONDS = 10.0
_SHARES = (0.1, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
_OPENED = "SELECT count(*) FROM reliability_circuittransition WHERE to_state = 'open'"
console = Console()


@dataclass
class RaceRun:
    """Every part, and what is wrong by the brokers' ledgers."""

    outcomes: list[Outcome] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    orders: int = 0
    doubled: int = 0
    mismatches: int = 0
    circuits_opened: int = 0


def run_races(stack: Stack, *, races: int, events: int, lost: int, chance: random.Random) -> RaceRun:
    """Run the three parts one after the other and judge everything there is on the stack."""
    return asyncio.run(_run(stack, races, events, lost, chance))


async def _run(stack: Stack, races: int, events: int, lost: int, chance: random.Random) -> RaceRun:
    run = RaceRun()
    async with open_field(stack, chance, f"race-{secrets.token_hex(4)}") as place:
        try:
            for part, size in ((race_changes, races), (shuffle_fills, events), (lose_replies, lost)):
                run.outcomes.append(await part(place, size))
                console.print(f"{run.outcomes[-1].title}: {run.outcomes[-1].count}, done", highlight=False)
            judgement = await place.judge()
        finally:
            stack.accepted.update(place.client.accepted)  # whoever judges this stack next must know of them
        run.problems = place.problems + [line for line in judgement.problems() if line not in stack.known_problems]
    _count(run, judgement)
    run.circuits_opened = stack.query(_OPENED)[0][0]
    return run


def _count(run: RaceRun, judgement: Judgement) -> None:
    run.orders = len(judgement.verdicts)
    run.doubled = judgement.count(Verdict.DOUBLED)
    agreeing = judgement.count(Verdict.AGREES)
    run.mismatches = run.orders - agreeing + len(judgement.strays) + len(judgement.positions)


def race_table(run: RaceRun) -> Table:
    table = Table(
        title=f"{run.orders} orders: {run.mismatches} differ from the brokers' ledgers, {run.doubled} doubled"
    )
    for name in ("part", "count", "ends"):
        table.add_column(name)
    for one in run.outcomes:
        ends = ", ".join(f"{count} {what}" for what, count in sorted(one.ends.items()))
        table.add_row(one.title, str(one.count), ends)
    return table


def distribution_table(seconds: Sequence[float], circuits_opened: int) -> Table:
    """Return how long outcomes were unknown: the places of the distribution, in seconds."""
    title = f"{len(seconds)} outcomes were unknown, for so many seconds; circuits opened {circuits_opened} times"
    table = Table(title=title)
    for share in _SHARES:
        table.add_column("max" if share == 1.0 else f"p{share * 100:g}", justify="right")
    table.add_row(*(f"{percentile(seconds, share):.2f}" for share in _SHARES))
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--races", type=int, default=1000, help="cancels and replacements that race with fills")
    parser.add_argument("--events", type=int, default=10_000, help="fill events, told twice and out of turn")
    parser.add_argument("--lost", type=int, default=300, help="replies that are lost")
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--save", "--json", metavar="FILE", help="write the figures to this file")
    arguments = parser.parse_args()
    sizes = {"races": arguments.races, "events": arguments.events, "lost": arguments.lost}
    console.print(f"{machine_line()}\n{sizes}, seed {arguments.seed}", highlight=False)
    with running_stack() as stack:
        run = run_races(stack, **sizes, chance=random.Random(arguments.seed))
    console.print(race_table(run))
    console.print(distribution_table(run.outcomes[-1].seconds, run.circuits_opened))
    for problem in run.problems:
        console.print(f"[red]{problem}[/]", highlight=False)
    slowest = percentile(run.outcomes[-1].seconds, 0.95)
    met = "met" if slowest < UNKNOWN_LIMIT_SECONDS else "[yellow]missed[/]"
    aim = f"aim {UNKNOWN_LIMIT_SECONDS:g} s: {met}"
    console.print(f"unknown outcomes were known after {slowest:.1f} s at the 95th percentile; {aim}")
    if arguments.save:
        figures = {"orders": run.orders, "mismatches": run.mismatches, "doubled": run.doubled, "problems": run.problems}
        figures |= {"circuits_opened": run.circuits_opened}
        parameters = {**sizes, "seed": arguments.seed}
        results = [figures, *(outcome.as_json() for outcome in run.outcomes)]
        write_evidence(Path(arguments.save), "order-races", parameters, results)
    return 1 if run.problems else 0


if __name__ == "__main__":
    sys.exit(main())
