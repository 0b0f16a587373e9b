"""``manage.py bars``: import bars from a file."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from reconciliation.core.gaps import GapPolicy
from reconciliation.core.timeframes import Timeframe
from reconciliation.services.market_data.bar_import import BadRowsError, ImportRequest, ImportResult, import_bars
from reliability.core.errors import ReliabilityError
from reliability.management.actor import command_line_actor


class Command(BaseCommand):
    help = "Import bars of market data. Exit status 1 when nothing was imported."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        load = actions.add_parser("import", help="read a .csv or .parquet file; everything in it, or nothing")
        load.add_argument("file", type=Path, help="columns timestamp, open, high, low, close, volume")
        load.add_argument("--symbol", required=True)
        load.add_argument("--timeframe", required=True, choices=[one.value for one in Timeframe])
        load.add_argument("--calendar", required=True, help="FX, 24/7, or a code such as XNAS")
        load.add_argument(
            "--policy",
            choices=[one.value for one in GapPolicy],
            default=GapPolicy.EVERY_SLOT.value,
            help="when_traded: a bar is there only when something was traded",
        )
        load.add_argument("--quiet", action="store_true", help="no progress")

    def handle(self, *args: Any, **options: Any) -> None:
        request = ImportRequest(
            path=options["file"],
            symbol=options["symbol"],
            timeframe=Timeframe(options["timeframe"]),
            calendar=options["calendar"],
            policy=GapPolicy(options["policy"]),
        )
        try:
            result = import_bars(request, actor=command_line_actor(), progress=self._progress(options["quiet"]))
        except BadRowsError as error:
            for problem in error.problems:
                self.stderr.write(problem)
            raise CommandError(f"Nothing was imported: {_count(len(error.problems), 'row')} cannot be.") from error
        except ReliabilityError as error:
            raise CommandError(error.message) from error
        self._report(request, result)

    def _progress(self, quiet: bool) -> Any:
        def tell(step: str, rows: int) -> None:
            if not quiet:
                sys.stderr.write(f"{rows} rows {step}\n")

        return tell

    def _report(self, request: ImportRequest, result: ImportResult) -> None:
        for line in result.questionable:
            self.stderr.write(f"kept, not used: {line}")
        self.stdout.write(
            f"{request.symbol} {request.timeframe}: {_count(result.rows, 'row')}: {result.new} new, "
            f"{result.revised} revised, {result.unchanged} there already, {len(result.questionable)} questionable."
        )
        if result.outside:
            self.stdout.write(
                f"{_count(result.outside, 'bar')} outside the trading hours of {request.calendar}, kept too."
            )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
