"""Write the reference pages that are generated from code; with --check only compare."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config.access_reference import roles_page
from config.alert_reference import alert_page
from config.chaos.reference import scenario_page
from config.reference import error_page, metrics_page, settings_page
from config.runbook_reference import runbook_page
from config.seed_numbers.files import readme_page
from config.seed_numbers.page import seed_numbers_page

PAGES = {
    "settings.md": settings_page,
    "errors.md": error_page,
    "metrics.md": metrics_page,
    "alerts.md": alert_page,
    "runbooks.md": runbook_page,
    "roles.md": roles_page,
    "chaos-scenarios.md": scenario_page,
    "seed-numbers.md": seed_numbers_page,
    "../evidence/README.md": readme_page,
}


class Command(BaseCommand):
    help = "Write the generated pages of docs/reference from the code; --check fails when one is not up to date."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing; fail when a page differs")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = Path(settings.BASE_DIR) / "docs" / "reference"
        for name, page in PAGES.items():
            path, text = folder / name, page()
            if not options["check"]:
                path.write_text(text)
            elif not path.exists() or path.read_text() != text:
                raise CommandError(f"{path} is not up to date: run manage.py write_reference")
