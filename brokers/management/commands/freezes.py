"""``manage.py freezes``: see what is frozen, freeze trading, and let it go on."""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from brokers.core.freezes import SCOPE_HELP, FreezeMode
from brokers.management.stops import StopCommand
from brokers.models import Freeze
from brokers.selectors.freezes import freeze_facts, list_freezes
from brokers.services.freezes import confirm_freeze_release, freeze_by_person, release_freeze, request_freeze_release
from reliability.core.presentation import instant_text
from reliability.management.actor import command_line_actor
from reliability.management.person import person_of_password

_RELEASES = (
    ("release", "where one person may"),
    ("request-release", "first of two persons"),
    ("confirm-release", "second person"),
)


class Command(StopCommand):
    help = "Freeze trading and let it go on. Exit status 1 and one line when nothing was done."
    nothing_stopped = "Nothing is frozen."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        self.add_listing(actions, "freezes in force")
        begin = actions.add_parser("freeze", help="freeze trading at once; orders wait, cancels pass")
        begin.add_argument("scope", help=SCOPE_HELP)
        begin.add_argument("--mode", choices=[mode.value for mode in FreezeMode], default=FreezeMode.HALT.value)
        begin.add_argument("--reason", required=True, help="kept with the freeze, told to every refused caller")
        self.add_releases(actions, "freeze", _RELEASES)

    def stops(self, *, in_force: bool | None) -> Sequence[Freeze]:
        return list_freezes(in_force=in_force)

    def facts(self, stop: Freeze) -> dict[str, Any]:
        return freeze_facts(stop)

    def line(self, stop: Freeze) -> str:
        return _line(stop)

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
