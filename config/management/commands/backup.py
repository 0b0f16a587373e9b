"""``manage.py backup``: dump the database, check a dump, and restore one with trading held."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from brokers.services.restored import hold_restored
from config import backups
from reliability.management.actor import command_line_actor

_NOT_HELD = "Start no process before `manage.py migrate` and then `manage.py backup hold` succeed:"


class Command(BaseCommand):
    help = "Take, check and restore backups of the database. docs/howto/backup.md has the procedure."
    requires_system_checks = []  # a restore begins with an empty database

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("create", help="dump the database; work goes on meanwhile").add_argument("file", type=Path)
        actions.add_parser("check", help="read a dump to its end").add_argument("file", type=Path)
        actions.add_parser("hold", help="hold trading after a restore that was done by other means")
        restore = actions.add_parser("restore", help="put a dump in the database's place and hold all trading")
        restore.add_argument("file", type=Path)
        restore.add_argument("--wipe", action="store_true", help="delete everything that is in the database now")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._act(options)
        except (backups.BackupError, OSError) as error:
            raise CommandError(str(error)) from error

    def _act(self, options: dict[str, Any]) -> None:
        if options["action"] == "hold":
            self._hold("restored from a backup")
        else:
            getattr(self, f"_{options['action']}")(options["file"].resolve(), options)

    def _create(self, path: Path, options: dict[str, Any]) -> None:
        size = backups.create(path)
        self.stdout.write(f"{path}: {size / 1e6:.1f} MB.")

    def _check(self, path: Path, options: dict[str, Any]) -> None:
        self.stdout.write(f"{path} is whole: {backups.check(path)} objects.")

    def _restore(self, path: Path, options: dict[str, Any]) -> None:
        backups.restore(path, wipe=options["wipe"])
        try:
            call_command("migrate", interactive=False, verbosity=0)  # the dump may be older than this release
        except Exception as error:
            raise CommandError(f"Restored, but NOT HELD: its migration failed. {_NOT_HELD} {error}") from error
        self._hold(f"restored from the backup {path.name}")
        self.stdout.write(
            "Where processes connect as a role of their own, give it its rights again before they start: "
            "manage.py database_rights ROLE."
        )

    def _hold(self, reason: str) -> None:
        try:
            held = hold_restored(actor=command_line_actor(), reason=reason)
        except Exception as error:
            raise CommandError(f"The database is NOT HELD. {_NOT_HELD} {error}") from error
        self.stdout.write(
            f"All trading is frozen (freeze {held.freeze_id}). Of the orders that were not known at their brokers, "
            f"{held.looked_up} are looked up there and {held.for_a_person} wait for a person, as do "
            f"{held.basket_steps} steps of baskets. No row is dropped until legal hold {held.hold_id} is released.\n"
            "Start the processes, wait until recoveries and a full reconciliation are done, then release the freeze."
        )
