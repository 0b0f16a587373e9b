"""``manage.py freezes``: see what is frozen, freeze trading, and let it go on."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from brokers.core.freezes import SCOPE_HELP, FreezeMode
from brokers.management.person import person_of_password
from brokers.models import Freeze
from brokers.selectors.freezes import freeze_facts, list_freezes
from brokers.services.freezes import confirm_freeze_release, freeze_by_person, release_freeze, request_freeze_release
from reliability.core.errors import ReliabilityError
from reliability.core.presentation import instant_text
from reliability.management.actor import command_line_actor

_RELEASES = (
    ("release", "where one person may"),
    ("request-release", "first of two persons"),
    ("confirm-release", "second person"),
)


class Command(BaseCommand):
    help = "Freeze trading and let it go on. Exit status 1 and one line when nothing was done."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="freezes in force")
        listing.add_argument("--all", action="store_true", help="released ones too")
        listing.add_argument("--json", action="store_true")
        begin = actions.add_parser("freeze", help="freeze trading at once; orders wait, cancels pass")
        begin.add_argument("scope", help=SCOPE_HELP)
        begin.add_argument("--mode", choices=[mode.value for mode in FreezeMode], default=FreezeMode.HALT.value)
        begin.add_argument("--reason", required=True, help="kept with the freeze, told to every refused caller")
        for name, purpose in _RELEASES:
            release = actions.add_parser(
                name, help=f"{purpose}; asks for the password, or reads it from standard input"
            )
            release.add_argument("freeze", type=int, help="its number, from list")
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
        freezes = list_freezes(in_force=None if options["all"] else True)
        if options["json"]:
            self.stdout.write(json.dumps([freeze_facts(one) for one in freezes], indent=2, default=str))
            return
        if not freezes:
            self.stdout.write("Nothing is frozen.")
        for one in freezes:
            self.stdout.write(_line(one))

    def _freeze(self, options: dict[str, Any]) -> None:
        mode = FreezeMode(options["mode"])
        freeze = freeze_by_person(options["scope"], mode, reason=options["reason"], by=command_line_actor())
        self.stdout.write(_line(freeze))

    def _release(self, options: dict[str, Any]) -> None:
        freeze = release_freeze(options["freeze"], by=person_of_password(options["person"]), reason=options["reason"])
        self.stdout.write(f"Released: {freeze.scope}. Orders are sent again.")

    def _request_release(self, options: dict[str, Any]) -> None:
        request_freeze_release(options["freeze"], by=person_of_password(options["person"]), reason=options["reason"])
        self.stdout.write("Asked for: another person confirms it within the hour.")

    def _confirm_release(self, options: dict[str, Any]) -> None:
        freeze = confirm_freeze_release(options["freeze"], by=person_of_password(options["person"]))
        self.stdout.write(f"Released: {freeze.scope}. Orders are sent again.")


def _line(freeze: Freeze) -> str:
    since = f"{instant_text(freeze.frozen_at)} by {freeze.frozen_by}: {freeze.reason}"
    line = f"{freeze.pk}  {freeze.scope}  {freeze.mode}  {freeze.cause}  {since}"
    if freeze.released_at is not None:
        first = f"{freeze.release_wanted_by} and " if freeze.release_wanted_by else ""
        return f"{line}  [released by {first}{freeze.released_by}]"
    return f"{line}  [{freeze.release_wanted_by} asks for its release]" if freeze.release_wanted_by else line
