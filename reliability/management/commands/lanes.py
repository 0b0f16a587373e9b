"""``manage.py lanes``: see lanes, pause and resume them."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from reliability.core.errors import ReliabilityError
from reliability.core.presentation import instant_text
from reliability.management.actor import command_line_actor
from reliability.selectors.jobs import list_lanes
from reliability.services.lanes import pause_lane, resume_lane


class Command(BaseCommand):
    help = "List lanes, pause and resume them. Exit status 1 and one line when nothing was done."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="what waits, runs and is dead in each")
        for name, purpose in (("pause", "claim no more of its jobs"), ("resume", "let it go on")):
            action = actions.add_parser(name, help=purpose)
            action.add_argument("name")
            action.add_argument("--reason", required=True, help="kept with the change")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "list":
            self._list()
            return
        change = pause_lane if options["action"] == "pause" else resume_lane
        try:
            change(options["name"], actor=command_line_actor(), reason=options["reason"])
        except ReliabilityError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{options['name']} is {'paused' if options['action'] == 'pause' else 'running'}.")

    def _list(self) -> None:
        self.stdout.write(f"{'lane':<14}{'state':<9}{'ready':>8}{'running':>9}{'dead':>7}  oldest due")
        for lane in list_lanes():
            oldest = instant_text(lane.oldest_due_at) if lane.oldest_due_at else "-"
            state = "paused" if lane.paused_at else "running"
            why = f"  ({lane.paused_reason})" if lane.paused_at else ""
            self.stdout.write(f"{lane.name:<14}{state:<9}{lane.ready:>8}{lane.running:>9}{lane.dead:>7}  {oldest}{why}")
