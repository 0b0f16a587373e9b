"""``manage.py credentials``: which key opens what is kept encrypted, and encryption anew with the newest one."""

from argparse import ArgumentParser
from typing import Any

from cryptography.fernet import Fernet
from django.core.management.base import BaseCommand, CommandError

from brokers.services.credentials import list_sealed_credentials, rotate_credentials
from reliability.core.key_rings import KeyState, SealedSecret
from reliability.management.actor import command_line_actor
from reliability.services.secrets import list_sealed_addresses, rotate_addresses


class Command(BaseCommand):
    help = (
        "Credentials of accounts and addresses of channels at rest. Shows no secret. "
        "Exit status 1 while a secret cannot be opened, and after status also while an older key is needed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("new-key", help="print a key for STANCHION_ENCRYPTION_KEY")
        actions.add_parser("status", help="which secrets the newest key opens, and which an older one")
        actions.add_parser("rotate", help="encrypt everything with the newest key; safe to run again, under load too")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "new-key":
            self.stdout.write(Fernet.generate_key().decode())
            return
        if options["action"] == "rotate":
            actor = command_line_actor()
            changed = rotate_credentials(actor=actor) + rotate_addresses(actor=actor)
            self.stdout.write(f"{changed} encrypted anew with the newest key.")
        secrets = [*list_sealed_credentials(), *list_sealed_addresses()]
        for one in secrets:
            self.stdout.write(f"{one.owner:<40} {one.state}")
        self._judge(secrets)

    def _judge(self, secrets: list[SealedSecret]) -> None:
        unreadable = [one.owner for one in secrets if one.state is KeyState.UNREADABLE]
        if unreadable:
            raise CommandError(f"no configured key opens: {', '.join(unreadable)}")
        older = sum(one.state is KeyState.OLDER for one in secrets)
        if older:
            raise CommandError(f"{older} still need an older key: run rotate before you take that key away")
        self.stdout.write("The newest key opens everything: older keys can be taken away.")
