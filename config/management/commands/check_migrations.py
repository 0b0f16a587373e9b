"""``manage.py check_migrations``: would processes of the release before stumble over these migrations?"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.upgrades import find_clashes


class Command(BaseCommand):
    help = "Check that the migrations since the last release only add, so that old and new processes run side by side."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        clashes = find_clashes()
        for clash in clashes:
            self.stderr.write(str(clash))
        if clashes:
            raise CommandError("Older code would stumble; docs/howto/upgrade.md says what to do instead.")
        self.stdout.write("Old and new processes can run side by side.")
