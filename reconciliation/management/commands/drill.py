"""``manage.py drill``: run a recovery drill on a simulated account, or see how they went."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from reconciliation.models import Drill
from reconciliation.selectors.drills import drill_trend, list_drills
from reconciliation.services.drills import LIMIT, start_drill
from reliability.core.errors import ReliabilityError
from reliability.core.presentation import instant_text
from reliability.management.actor import command_line_actor


class Command(BaseCommand):
    help = "Run a recovery drill on a simulated account and wait for its verdict. Exit status 1 when it does not pass."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="the last drills and their trend")
        run = actions.add_parser("run", help="cut the streams of a simulated account's broker and watch the recovery")
        run.add_argument("account", help="its name")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "list":
            trend = drill_trend()
            self.stdout.write(f"{trend['passed']} of the last {trend['drills']} passed; seconds: {trend['seconds']}")
            for drill in list_drills():
                self.stdout.write(f"{drill.pk:>6}  {instant_text(drill.started_at)}  {drill.state:<8}{drill.verdict}")
            return
        try:
            pk = start_drill(options["account"], by=command_line_actor())
        except ReliabilityError as error:
            raise CommandError(error.message) from error
        drill = self._wait(pk)
        if drill.state != "passed":
            raise CommandError(f"drill {pk} {drill.state}: {drill.verdict or 'no worker took it up'}")
        self.stdout.write(f"drill {pk} passed: {drill.verdict}")

    def _wait(self, pk: int) -> Drill:
        end = time.monotonic() + LIMIT.total_seconds() + 30
        while (drill := Drill.objects.get(pk=pk)).state == "running" and time.monotonic() < end:
            time.sleep(0.5)
        return drill
