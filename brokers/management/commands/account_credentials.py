"""``manage.py account_credentials``: propose new credentials of an account to a second person."""

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from brokers.services.credential_changes import SECRET_FIELDS, propose_credentials
from reliability.core.errors import ReliabilityError
from reliability.management.person import person_of_password


class Command(BaseCommand):
    help = (
        "Propose new credentials of an account; another person confirms them on the page of the change. Asks for the "
        "password, the API key and the API secret, or reads them from standard input, a line each: no secret is an "
        "argument. Exit status 1 and one line when nothing was done."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account")
        parser.add_argument("--as", dest="person", required=True, help="username of who proposes")
        parser.add_argument("--reason", required=True, help="kept with the change")

    def handle(self, *args: Any, **options: Any) -> None:
        person = person_of_password(options["person"])
        credentials = {name: _asked(name) for name in SECRET_FIELDS}
        try:
            change = propose_credentials(options["account"], credentials, by=person, reason=options["reason"])
        except ReliabilityError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"Proposed as change {change}: another person confirms it within the hour.")


def _asked(name: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(f"New {name.replace('_', ' ')}: ")
    return sys.stdin.readline().rstrip("\n")
