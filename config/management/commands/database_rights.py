"""``manage.py database_rights``: a role for our processes that cannot change what is written once."""

import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.database_rights import create_role, current_role, grant_rights, list_append_only, list_problems

PASSWORD_VARIABLE = "STANCHION_APP_DATABASE_PASSWORD"  # noqa: S105  a name


class Command(BaseCommand):
    help = (
        "Give a role of the database what our processes need and nothing that changes append-only tables. Run it as "
        "the owner of the tables (DATABASE_URL), after each migrate; then let all processes but migrate "
        "connect as that role."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("role", nargs="?", help="name of the role; with --check the one that we connect as")
        parser.add_argument("--create", action="store_true", help=f"make it, with the password in {PASSWORD_VARIABLE}")
        parser.add_argument(
            "--check", action="store_true", help="change nothing; exit status 1 when it may do too much"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        role = options["role"]
        if options["check"]:
            self._check(role or current_role())
            return
        if not role:
            raise CommandError("name the role")
        if role == current_role():
            raise CommandError(f"{role} owns the tables: name another role, which the processes connect as")
        if options["create"]:
            password = os.environ.get(PASSWORD_VARIABLE, "")
            if len(password) < 16:
                raise CommandError(f"{PASSWORD_VARIABLE} must have at least 16 characters")
            made = create_role(role, password)
            self.stdout.write(f"{role} {'was made' if made else 'was there; its password is set'}.")
        guarded = grant_rights(role)
        self.stdout.write(
            f"{role} can read and append to {len(guarded)} tables that are written once: {', '.join(guarded)}."
        )
        self._check(role)

    def _check(self, role: str) -> None:
        problems = list_problems(role)
        if problems:
            raise CommandError("; ".join(problems[:20]))
        self.stdout.write(f"{role} may change none of {len(list_append_only())} append-only tables.")
