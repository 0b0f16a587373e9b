"""What ``manage.py kill_switch`` and ``manage.py freezes`` have in common."""

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from reliability.core.errors import ReliabilityError


class StopCommand(BaseCommand):
    """Lists stops of trading and has them released; each action is a method ``_<action>`` of the command."""

    nothing_stopped = ""

    def add_listing(self, actions: Any, purpose: str) -> None:
        listing = actions.add_parser("list", help=purpose)
        listing.add_argument("--all", action="store_true", help="released ones too")
        listing.add_argument("--json", action="store_true")

    def add_releases(self, actions: Any, what: str, releases: Sequence[tuple[str, str]]) -> None:
        """Add actions that release a stop, each with whose it is; all but the confirmation want a reason."""
        for name, whose in releases:
            purpose = f"{whose}; asks for the password, or reads it from standard input"
            release: ArgumentParser = actions.add_parser(name, help=purpose)
            release.add_argument(what, type=int, help="its number, from list")
            release.add_argument("--as", dest="person", required=True, help="username of the person who acts")
            if name != "confirm-release":
                release.add_argument("--reason", required=True, help="why trading can go on")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action'].replace('-', '_')}")(options)
        except ReliabilityError as error:
            more = "; ".join(str(one) for values in error.details.values() for one in values) if error.details else ""
            raise CommandError(f"{error.message} {more}".strip()) from error

    def _list(self, options: dict[str, Any]) -> None:
        stops = self.stops(in_force=None if options["all"] else True)
        if options["json"]:
            self.stdout.write(json.dumps([self.facts(one) for one in stops], indent=2, default=str))
            return
        if not stops:
            self.stdout.write(self.nothing_stopped)
        for one in stops:
            self.stdout.write(self.line(one))

    def stops(self, *, in_force: bool | None) -> Sequence[Any]:
        raise NotImplementedError

    def facts(self, stop: Any) -> dict[str, Any]:
        raise NotImplementedError

    def line(self, stop: Any) -> str:
        raise NotImplementedError
