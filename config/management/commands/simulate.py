"""``manage.py simulate``: the pure cores under a virtual clock, with faults and with what only looks like one."""

import json
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.chaos.facts import describe
from config.simulation.episodes import Judged, Sabotage
from config.simulation.report import Report, table
from config.simulation.runner import SCENARIOS, numbers, play


class Command(BaseCommand):
    help = (
        "Play episodes of faults, and as many healthy ones that look like faults, against the real rules under a "
        "virtual clock, without a database. Exit status 1 when one was judged wrongly. "
        "Each can be played again by its number."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--episodes", type=int, default=3000, help="with a fault, and as many without")
        parser.add_argument("--seed", type=int, default=1, help="another seed, other episodes (default 1)")
        parser.add_argument("--only", nargs="+", default=[], metavar="SCENARIO", help="these scenarios only")
        parser.add_argument("--replay", type=int, metavar="NUMBER", help="play one episode and show its log")
        parser.add_argument(
            "--sabotage",
            type=Sabotage,
            choices=list(Sabotage),
            default=Sabotage.NONE,
            help="take the protections away (blind) or make them see ghosts (eager): the run must then fail",
        )
        parser.add_argument("--list", action="store_true", help="show the scenarios")
        parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there, too")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            for one in SCENARIOS:
                self.stdout.write(f"{one.name:<18} {one.stratum:<18} {one.about}")
            return
        if options["replay"] is not None:
            self._replay(play(options["replay"], options["sabotage"]))
            return
        if options["episodes"] < 1 or options["seed"] < 0:
            raise CommandError("--episodes is at least 1 and --seed at least 0")
        self._run(options)

    def _replay(self, judged: Judged) -> None:
        self.stdout.write(f"episode {judged.number}: {judged.scenario.name}, {judged.truth}: {judged.scenario.about}")
        for line in judged.lines:
            self.stdout.write(line)
        self.stdout.write(f"expected {judged.expected or 'no alarm'}, seen {judged.finding.seen or 'no alarm'}")
        if judged.problems:
            raise CommandError("; ".join(judged.problems))

    def _run(self, options: dict[str, Any]) -> None:
        chosen = [one for one in SCENARIOS if not options["only"] or one.name in options["only"]]
        report, began = Report(chosen), time.monotonic()
        try:
            for number in numbers(options["seed"], options["episodes"], options["only"]):
                report.add(play(number, options["sabotage"]))
        except ValueError as error:
            raise CommandError(str(error)) from None
        seconds = time.monotonic() - began
        self.stdout.write(table(report))
        played = 2 * options["episodes"]
        self.stdout.write(f"{played} episodes in {seconds:.1f} s, {60 * played / seconds:,.0f} a minute.")
        if options["json"]:
            facts = {
                **describe(f"manage.py simulate --episodes {options['episodes']}", [options["seed"]]),
                "sabotage": options["sabotage"].value,
                "seconds": round(seconds, 1),
                **report.to_dict(),
            }
            options["json"].write_text(json.dumps(facts, indent=1) + "\n")
        if not report.is_clean:
            raise CommandError("some were judged wrongly: play them again with --replay NUMBER")
