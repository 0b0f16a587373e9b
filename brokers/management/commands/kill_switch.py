"""``manage.py kill_switch``: stop trading, see how far it got, and let it go on with two persons."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from brokers.management.person import person_of_password
from brokers.models import KillSwitch
from brokers.selectors.kill_switch import list_switches, read_progress, switch_facts
from brokers.services.kill_switch import confirm_release, engage, request_release
from reliability.core.errors import ReliabilityError
from reliability.core.presentation import instant_text
from reliability.management.actor import command_line_actor


class Command(BaseCommand):
    help = "Stop trading and let it go on. Exit status 1 and one line when nothing was done."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="switches in force and how far they got")
        listing.add_argument("--all", action="store_true", help="released ones too")
        listing.add_argument("--json", action="store_true")
        stop = actions.add_parser("engage", help="stop trading at once")
        stop.add_argument("scope", help="global, broker:NAME or account:NAME")
        stop.add_argument("--reason", required=True, help="kept with the switch, told to every refused caller")
        for name, purpose in (("request-release", "first person"), ("confirm-release", "second person")):
            release = actions.add_parser(
                name, help=f"{purpose}; asks for the password, or reads it from standard input"
            )
            release.add_argument("switch", type=int, help="its number, from list")
            release.add_argument("--as", dest="person", required=True, help="username of the person who acts")
            if name == "request-release":
                release.add_argument("--reason", required=True, help="why trading can go on")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action'].replace('-', '_')}")(options)
        except ReliabilityError as error:
            more = "; ".join(str(one) for values in error.details.values() for one in values) if error.details else ""
            raise CommandError(f"{error.message} {more}".strip()) from error

    def _list(self, options: dict[str, Any]) -> None:
        switches = list_switches(in_force=None if options["all"] else True)
        if options["json"]:
            self.stdout.write(json.dumps([switch_facts(one) for one in switches], indent=2, default=str))
            return
        if not switches:
            self.stdout.write("No kill switch is in force.")
        for one in switches:
            self.stdout.write(_line(one))

    def _engage(self, options: dict[str, Any]) -> None:
        self.stdout.write(_line(engage(options["scope"], reason=options["reason"], actor=command_line_actor())))

    def _request_release(self, options: dict[str, Any]) -> None:
        request_release(options["switch"], by=person_of_password(options["person"]), reason=options["reason"])
        self.stdout.write("Asked for: another person confirms it within the hour.")

    def _confirm_release(self, options: dict[str, Any]) -> None:
        switch = confirm_release(options["switch"], by=person_of_password(options["person"]))
        self.stdout.write(f"Released: {switch.scope}. New orders are accepted.")


def _line(switch: KillSwitch) -> str:
    since = f"{switch.pk}  {switch.scope}  {instant_text(switch.engaged_at)} by {switch.engaged_by}: {switch.reason}"
    if switch.released_at is not None:
        return f"{since}  [released by {switch.release_wanted_by} and {switch.released_by}]"
    now = read_progress(switch)
    asked = f"; {switch.release_wanted_by} asks for its release" if switch.release_wanted_by else ""
    counts = f"{now.open} open, {now.cancel_pending} cancel pending, {now.unknown} unknown, {now.done} done"
    return f"{since}  [{counts}{asked}]"
