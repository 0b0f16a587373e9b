"""``manage.py recovery``: see how recoveries went, and have an account recovered."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from reconciliation.models import RecoveryRun
from reconciliation.selectors.recovery import (
    account_of,
    figures_facts,
    find_run,
    list_runs,
    read_figures,
    run_facts,
    run_steps,
)
from reconciliation.services.recovery import request_recovery
from reliability.core.presentation import instant_text
from reliability.management.actor import command_line_actor


class Command(BaseCommand):
    help = "Look at recovery runs, or ask for one. Exit status 1 and one line when nothing was done."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="the newest runs, and the figures of the last 30 days")
        listing.add_argument("--json", action="store_true")
        show = actions.add_parser("show", help="one run with its steps")
        show.add_argument("run", type=int)
        run = actions.add_parser("run", help="recover an account now; a run under way on it is void")
        run.add_argument("account", help="its name")
        run.add_argument("--reason", required=True, help="kept with the run")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        runs, figures = list_runs(), figures_facts(read_figures())
        if options["json"]:
            body = {"figures": figures, "results": [run_facts(run) for run in runs]}
            self.stdout.write(json.dumps(body, indent=2, default=str))
            return
        told = [f"{name.replace('_', ' ')} {_number(value)}" for name, value in figures.items()]
        self.stdout.write("Last 30 days: " + ", ".join(told))
        for run in runs:
            self.stdout.write(_line(run))

    def _show(self, options: dict[str, Any]) -> None:
        run = find_run(options["run"])
        if run is None:
            raise CommandError("There is no such recovery run.")
        self.stdout.write(_line(run))
        for step in run_steps(run):
            found = step["error"] or json.dumps(step["result"])
            self.stdout.write(f"  {step['number']:>2}  {step['action']:<16}{step['state']:<10}{found}")

    def _run(self, options: dict[str, Any]) -> None:
        account = account_of(options["account"])
        if account is None:
            raise CommandError(f"There is no account in use called {options['account']!r}.")
        run_id = request_recovery(account.id, by=command_line_actor(), reason=options["reason"])
        self.stdout.write(f"Recovery {run_id} of {account.name} has begun.")


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:g}" if isinstance(value, int) else f"{value:.2f}"


def _line(run: RecoveryRun) -> str:
    facts = run_facts(run)
    took = f"{facts['seconds']:.1f} s" if facts["seconds"] is not None else "under way"
    why = " ".join(run.findings) or run.error_message
    begun = f"{run.pk}  {facts['account']}  {run.state}  {run.trigger}  {instant_text(run.disrupted_at)}  {took}"
    return f"{begun}  {why}".rstrip()
