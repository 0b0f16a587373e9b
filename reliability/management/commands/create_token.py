"""``manage.py create_token``: make an API token and show it once."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from knox.models import AuthToken
from knox.settings import knox_settings

from reliability.management.actor import command_line_actor
from reliability.services.audit import record_audit


class Command(BaseCommand):
    help = "Make an API token for a user and print it, once: only its hash is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user")
        parser.add_argument("--days", type=float, help="how long it is valid (default STANCHION_TOKEN_DAYS)")

    def handle(self, *args: Any, **options: Any) -> None:
        user = get_user_model().objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"there is no user called {options['user']!r}")
        if options["days"] is not None and not 0 < options["days"] <= 3650:
            raise CommandError("--days must be more than 0 and at most 3650")
        expiry = knox_settings.TOKEN_TTL if options["days"] is None else timedelta(days=options["days"])
        row, token = AuthToken.objects.create(user, expiry=expiry, prefix=knox_settings.TOKEN_PREFIX)
        facts = {"token_key": row.token_key, "expiry": row.expiry.isoformat()}
        record_audit(command_line_actor(), "create_token", f"user:{user.get_username()}", after=facts)
        self.stdout.write(token)
