"""``manage.py audit verify``: is the recorded history what was sealed?"""

from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from brokers.services.history.anchors import read_anchor_file
from brokers.services.history.sealing import seal_appended
from brokers.services.history.verification import missing_guards, verify_history
from reliability.core.errors import ReliabilityError
from reliability.services.alerting import raise_alert


def instant(text: str) -> datetime:
    """Read an instant; without a zone it is UTC. Raises ``ValueError``."""
    value = parse_datetime(text)
    if value is None:
        raise ValueError(text)
    return value if timezone.is_aware(value) else value.replace(tzinfo=timezone.get_default_timezone())


class Command(BaseCommand):
    help = "Recompute the seals of the history. Exit status 1, and the first bad row, when it was tampered with."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        verify = actions.add_parser("verify", help="recompute every seal and anchor from the rows")
        verify.add_argument("--since", type=instant, help="begin with the first anchor of then, for example 2026-11-23")
        verify.add_argument("--anchors", type=Path, help="also compare with anchors copied out of the database")
        verify.add_argument("--quiet", action="store_true", help="no progress")
        actions.add_parser("seal", help="seal now what was not sealed yet")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._seal() if options["action"] == "seal" else self._verify(options)
        except ReliabilityError as error:
            raise CommandError(error.message) from error

    def _seal(self) -> None:
        sealed = 0
        while rows := seal_appended():
            sealed += rows
        self.stdout.write(f"{sealed} rows sealed.")

    def _verify(self, options: dict[str, Any]) -> None:
        unguarded = missing_guards()
        copies = read_anchor_file(options["anchors"]) if options["anchors"] else {}
        rows = anchor = 0
        for progress in verify_history(options["since"], copies):
            rows, anchor = progress.rows, progress.anchor
            if progress.finding:
                finding = f"Tampered: {progress.finding}"
                raise_alert("history.broken", "history:orders", message=finding)
                raise CommandError(finding)
            if not options["quiet"]:
                self.stderr.write(f"{rows} rows up to anchor {anchor}")
        if unguarded:
            raise CommandError(f"Nothing was changed, but changes are not refused on: {', '.join(unguarded)}")
        self.stdout.write(f"Intact: {rows} rows up to anchor {anchor}.")
