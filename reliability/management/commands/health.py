from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from reliability.core.degradation import Health
from reliability.services.health import check_health

_COLOURS = {Health.NORMAL: "green", Health.DEGRADED: "yellow", Health.DOWN: "red"}


class Command(BaseCommand):
    help = "Look at every part of the installation; the exit status is 1 when nothing can be carried out."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="PART", help="only these parts")

    def handle(self, *args: Any, **options: Any) -> None:
        report = check_health(options["names"] or None, limit_seconds=3.0)
        unknown = set(options["names"]) - {one.name for one in report.components}
        if unknown:
            raise CommandError(f"there is no part called {', '.join(sorted(unknown))}")
        table = Table("part", "health", "what was found", "ms")
        for one in report.components:
            health = f"[{_COLOURS[one.health]}]{one.health.value}[/]"
            table.add_row(one.name, health, one.finding.message, f"{1000 * one.seconds:.0f}")
        Console().print(table)
        if report.health is Health.DOWN:
            raise CommandError("nothing can be carried out")
