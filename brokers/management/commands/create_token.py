"""``manage.py create_token``: make an API token and show it once."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from brokers.services.tokens import issue_token
from reliability.core.errors import ReliabilityError
from reliability.management.actor import command_line_actor


class Command(BaseCommand):
    help = "Make an API token for a user and print it, once: only its hash is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user")
        parser.add_argument("--days", type=float, help="how long it is valid (default STANCHION_TOKEN_DAYS)")
        parser.add_argument(
            "--account",
            dest="accounts",
            action="append",
            default=[],
            help="limit it to this account; several times for several (default: all accounts)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user = get_user_model().objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"there is no user called {options['user']!r}")
        try:
            _, token = issue_token(user, days=options["days"], accounts=options["accounts"], actor=command_line_actor())
        except ReliabilityError as error:
            raise CommandError(error.message) from None
        self.stdout.write(token)
