"""``manage.py reconcile``: have accounts compared with their brokers, follow it, and show what was found."""

import json
import shutil
import time
from argparse import ArgumentParser
from io import StringIO
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from brokers.services.accounts import list_profiles
from reconciliation.core.runs import FINISHED, RunKind, RunState
from reconciliation.models import Discrepancy, ReconciliationRun
from reconciliation.selectors.runs import differing_part, discrepancy_facts, find_run, list_discrepancies, run_facts
from reconciliation.services.resolutions import ask_for_run
from reliability.management.actor import command_line_actor

_POLL_SECONDS = 0.1
_SHOWN = 50


class Command(BaseCommand):
    help = (
        "Compare what is recorded with what brokers report. Workers do it, so they must run. Exit status 1 where "
        "something differs or nothing could be said."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--account", action="append", metavar="NAME", help="only this one; may be repeated")
        parser.add_argument("--full", action="store_true", help="all executions, not those since the last clean mark")
        parser.add_argument("--timeout", type=float, default=300.0, metavar="SECONDS", help="how long to wait (300)")
        parser.add_argument("--json", action="store_true", help="runs and differences as JSON")
        parser.add_argument("--quiet", action="store_true", help="no progress")

    def handle(self, *args: Any, **options: Any) -> None:
        kind = RunKind.FULL if options["full"] else RunKind.INCREMENTAL
        by = command_line_actor()
        run_ids = [ask_for_run(pk, by=by, kind=kind, trigger="command") for pk in _accounts(options["account"])]
        runs = self._follow(run_ids, options)
        if options["json"]:
            found = {run.pk: [discrepancy_facts(row) for row in list_discrepancies(run_id=run.pk)] for run in runs}
            answer = [{**run_facts(run), "discrepancies": found[run.pk]} for run in runs]
            self.stdout.write(json.dumps(answer, indent=2, default=str))
        else:
            self._show(runs)
        states = {run.state for run in runs}
        if states - {RunState.CLEAN}:
            raise CommandError(", ".join(f"{run.account.name}: {run.state}" for run in runs))

    def _follow(self, run_ids: list[int], options: dict[str, Any]) -> list[ReconciliationRun]:
        """Wait until each run is over, and tell of every change on the way."""
        told: dict[int, str] = {}
        deadline = time.monotonic() + options["timeout"]
        while True:
            runs = [run for pk in run_ids if (run := find_run(pk)) is not None]
            for run in runs:
                line = _progress(run)
                if told.get(run.pk) != line and not options["quiet"]:
                    self.stderr.write(line)
                told[run.pk] = line
            if all(run.state in FINISHED for run in runs):
                return runs
            if time.monotonic() > deadline:
                raise CommandError("The runs are not over yet: do workers serve the lane recovery? They go on.")
            time.sleep(_POLL_SECONDS)

    def _show(self, runs: list[ReconciliationRun]) -> None:
        text = StringIO()
        console = Console(file=text, width=max(120, shutil.get_terminal_size((160, 24)).columns))
        summary = Table(
            "run", "account", "kind", "state", "orders", "fills", "found", "settled by rule", "open", box=None
        )
        for run in runs:
            counts = (run.orders_reported, run.fills_reported, run.found, run.resolved, run.remaining)
            summary.add_row(str(run.pk), run.account.name, run.kind, run.state, *map(str, counts))
        console.print(summary)
        rows = [row for run in runs for row in list_discrepancies(run_id=run.pk, limit=_SHOWN)]
        if rows:
            console.print()
            console.print(self._found(rows))
        self.stdout.write(text.getvalue())

    def _found(self, rows: list[Discrepancy]) -> Table:
        table = Table("id", "account", "kind", "about", "recorded", "reported", "state", "what is done", box=None)
        for row in rows:
            about = f"{row.subject_type} {row.subject} {row.symbol if row.symbol != row.subject else ''}".strip()
            sides = (differing_part(row.recorded, row.reported), differing_part(row.reported, row.recorded))
            table.add_row(str(row.pk), row.account.name, row.kind, about, *sides, row.state, row.resolution)
        return table


def _accounts(names: list[str] | None) -> list[int]:
    profiles = {profile.name: profile.id for profile in list_profiles()}
    unknown = sorted(set(names or ()) - profiles.keys())
    if unknown:
        raise CommandError(f"there is no account called {', '.join(unknown)}; known: {', '.join(sorted(profiles))}")
    return [profiles[name] for name in names or sorted(profiles)]


def _progress(run: ReconciliationRun) -> str:
    head = f"{run.account.name}: run {run.pk} {run.state}"
    if run.state == RunState.QUEUED:
        return head
    counts = f"{run.orders_reported} orders, {run.fills_reported} fills, {run.positions_reported} positions reported"
    if run.state in FINISHED:
        return f"{head}; {run.error_message}" if run.error_message else f"{head}; {counts}, {run.found} differ"
    return f"{head} ({run.step.replace('_', ' ')}); {counts}, {run.suspected} suspected"
