"""``manage.py gaps``: look for missing bars, and have those of a stretch of time fetched."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from reconciliation.core.bars import stamp_text
from reconciliation.core.timeframes import Timeframe
from reconciliation.management.instants import instant_argument
from reconciliation.models import BarSeries
from reconciliation.services.market_data.backfill_request import request_backfill
from reconciliation.services.market_data.gap_scan import scan_gaps
from reliability.core.errors import ReliabilityError
from reliability.management.actor import command_line_actor


class Command(BaseCommand):
    help = "Find bars that the calendar expects and that are not there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        scan = actions.add_parser("scan", help="look through the whole history and record what is missing")
        scan.add_argument("--symbol", help="only this one")
        scan.add_argument("--json", action="store_true", help="one JSON object a line")

        fill = actions.add_parser("fill", help="have the missing bars of a stretch of time fetched")
        fill.add_argument("--symbol", required=True)
        fill.add_argument("--timeframe", required=True, choices=[one.value for one in Timeframe])
        fill.add_argument("--start", required=True, type=instant_argument, help="first bar (UTC)")
        fill.add_argument("--end", required=True, type=instant_argument, help="last bar (UTC)")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _fill(self, options: dict[str, Any]) -> None:
        timeframe = Timeframe(options["timeframe"])
        try:
            asked = request_backfill(
                options["symbol"], timeframe, options["start"], options["end"], by=command_line_actor()
            )
        except ReliabilityError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{asked.symbol} {asked.timeframe}: {asked.missing} missing, {asked.new_gaps} new gaps.")

    def _scan(self, options: dict[str, Any]) -> None:
        symbol = options["symbol"]
        if symbol is not None and not BarSeries.objects.filter(symbol=symbol).exists():
            raise CommandError(f"There are no bars of {symbol}.")
        result = scan_gaps(symbol, actor=command_line_actor())
        for gap in result.missing:
            facts = {
                "symbol": gap.symbol,
                "timeframe": gap.timeframe,
                "start": stamp_text(gap.start),
                "end": stamp_text(gap.end),
                "missing": gap.missing,
            }
            if options["json"]:
                self.stdout.write(json.dumps(facts))
            else:
                self.stdout.write("{symbol} {timeframe}: {missing} missing, {start} to {end}".format(**facts))
        if not options["json"]:
            total = sum(gap.missing for gap in result.missing)
            self.stdout.write(f"{result.series} series: {len(result.missing)} gaps, {total} bars missing.")
