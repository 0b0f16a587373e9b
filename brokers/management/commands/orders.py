"""``manage.py orders``: one order as it was known at an instant, and orders held against their events."""

import json
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from brokers.management.commands.audit import instant
from brokers.selectors.history import order_as_known_at
from brokers.services.history.rebuilding import compare_order, compare_orders, repair_order
from reliability.core.errors import ReliabilityError
from reliability.management.actor import command_line_actor

_MOST_SHOWN = 100


class Command(BaseCommand):
    help = "Show orders as they were known, and check them against their events. Exit status 1 on a difference."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        rebuild = actions.add_parser("rebuild", help="build orders again from their events alone and compare")
        mode = rebuild.add_mutually_exclusive_group(required=True)
        mode.add_argument("--verify", action="store_true", help="compare and change nothing")
        mode.add_argument("--repair", action="store_true", help="write the row of --order as its events have it")
        rebuild.add_argument("--order", type=UUID, metavar="ID", help="only this one")
        rebuild.add_argument("--reason", default="", help="kept with the repair")
        rebuild.add_argument("--quiet", action="store_true", help="no progress")
        show = actions.add_parser("show", help="one order and the events behind it, as JSON")
        show.add_argument("id", type=UUID)
        show.add_argument("--at", type=instant, help="as it was known then, for example 2026-11-23T14:30:00.250Z")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["action"] == "show":
                self._show(options)
            elif options["repair"]:
                self._repair(options)
            elif options["order"]:
                self._verify_one(options["order"])
            else:
                self._verify(options)
        except ReliabilityError as error:
            raise CommandError(error.message) from error

    def _show(self, options: dict[str, Any]) -> None:
        known = order_as_known_at(options["id"], options["at"])
        if known is None:
            raise CommandError("There is no such order.")
        self.stdout.write(json.dumps(known, indent=2, default=str))

    def _verify_one(self, order_id: UUID) -> None:
        difference = compare_order(order_id)
        if difference:
            raise CommandError(str(difference))
        self.stdout.write("1 order checked, 0 differ.")

    def _verify(self, options: dict[str, Any]) -> None:
        checked = differing = 0
        for progress in compare_orders():
            for difference in progress.differences:
                differing += 1
                if differing <= _MOST_SHOWN:
                    self.stdout.write(str(difference))
            checked = progress.checked
            if not options["quiet"]:
                self.stderr.write(f"{checked} orders checked, {differing} differ")
        summary = f"{checked} orders checked, {differing} differ."
        if differing:
            raise CommandError(summary)
        self.stdout.write(summary)

    def _repair(self, options: dict[str, Any]) -> None:
        if options["order"] is None:
            raise CommandError("name the order to repair: --order ID")
        difference = repair_order(options["order"], actor=command_line_actor(), reason=options["reason"])
        self.stdout.write(f"Repaired {difference}" if difference else "Nothing differs; nothing was changed.")
