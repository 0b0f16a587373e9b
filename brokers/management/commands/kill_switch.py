"""``manage.py kill_switch``: stop trading, see how far it got, and let it go on with two persons."""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from brokers.management.stops import StopCommand
from brokers.models import KillSwitch
from brokers.selectors.kill_switch import list_switches, read_progress, switch_facts
from brokers.services.kill_switch import confirm_release, engage, request_release
from reliability.core.presentation import instant_text
from reliability.management.actor import command_line_actor
from reliability.management.person import person_of_password

_RELEASES = (("request-release", "first person"), ("confirm-release", "second person"))


class Command(StopCommand):
    help = "Stop trading and let it go on. Exit status 1 and one line when nothing was done."
    nothing_stopped = "No kill switch is in force."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        self.add_listing(actions, "switches in force and how far they got")
        stop = actions.add_parser("engage", help="stop trading at once")
        stop.add_argument("scope", help="global, broker:NAME or account:NAME")
        stop.add_argument("--reason", required=True, help="kept with the switch, told to every refused caller")
        self.add_releases(actions, "switch", _RELEASES)

    def stops(self, *, in_force: bool | None) -> Sequence[KillSwitch]:
        return list_switches(in_force=in_force)

    def facts(self, stop: KillSwitch) -> dict[str, Any]:
        return switch_facts(stop)

    def line(self, stop: KillSwitch) -> str:
        return _line(stop)

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
