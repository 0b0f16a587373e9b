"""``manage.py second_factor``: who has one, and a new start for whoever lost theirs."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from config.second_factor import forget_device, has_device
from reliability.management.actor import command_line_actor


class Command(BaseCommand):
    help = (
        "Second factors: list who has one; forget a lost one, with the password, so that its owner sets up both anew."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="active people and whether they have one")
        forget = actions.add_parser("forget", help="take a lost one away, end all sessions and void the password")
        forget.add_argument("user")
        forget.add_argument("--reason", required=True, help="kept in the audit log")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "list":
            for one in User.objects.filter(is_active=True).order_by("username"):
                self.stdout.write(f"{one.username:<40} {'enrolled' if has_device(one) else 'none'}")
            return
        person = User.objects.filter(username=options["user"]).first()
        if person is None:
            raise CommandError(f"there is no user called {options['user']!r}")
        if not forget_device(person, actor=command_line_actor(), reason=options["reason"]):
            raise CommandError(f"{person.username} has none")
        self.stdout.write(
            f"Forgotten: {person.username} is logged out everywhere and the password is void. Make sure who asks, "
            f"then set a new one with `manage.py changepassword {person.username}`; the next login enrols a new device."
        )
