"""``manage.py limits``: how much each broker is asked, and changes of it."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from brokers.models import Broker
from brokers.services.limits import BrokerLimits, change_limits
from reliability.core.errors import ReliabilityError
from reliability.management.person import person_of_password


class Command(BaseCommand):
    help = (
        "Limits of the calls to brokers. A limit is lowered at once; one that is raised is proposed, and another "
        "person confirms it on the page of the change. Exit status 1 and one line when nothing was done."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="limits of each broker")
        setting = actions.add_parser(
            "set", help="change limits; asks for the password, or reads it from standard input"
        )
        setting.add_argument("broker")
        setting.add_argument("--calls-per-minute", type=_rate, help="for each account, or none")
        setting.add_argument("--concurrent-calls", type=int, help="in one process")
        setting.add_argument("--calls-overall", type=_rate, help="in all processes together, or none")
        setting.add_argument("--as", dest="person", required=True, help="username of the person who acts")
        setting.add_argument("--reason", required=True, help="kept with the change")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "list":
            for row in Broker.objects.order_by("name"):
                rate = "none" if row.calls_per_minute is None else row.calls_per_minute
                overall = "" if row.max_calls_overall is None else f", {row.max_calls_overall} overall"
                self.stdout.write(f"{row.name:<32} {rate} calls a minute, {row.max_concurrent_calls} at once{overall}")
            return
        try:
            self._set(options)
        except ReliabilityError as error:
            raise CommandError(error.message) from error

    def _set(self, options: dict[str, Any]) -> None:
        row = Broker.objects.filter(name=options["broker"]).first()
        if row is None:
            raise CommandError(f"There is no broker called {options['broker']!r}.")
        rate, at_once, overall = options["calls_per_minute"], options["concurrent_calls"], options["calls_overall"]
        limits = BrokerLimits(
            row.calls_per_minute if rate is None else rate or None,
            row.max_concurrent_calls if at_once is None else at_once,
            row.max_calls_overall if overall is None else overall or None,
        )
        change = change_limits(row.name, limits, by=person_of_password(options["person"]), reason=options["reason"])
        if change is None:
            self.stdout.write("In force.")
        else:
            self.stdout.write(f"Proposed as change {change}: another person confirms it within the hour.")


def _rate(text: str) -> int:
    """Return a limit; 0 for none."""
    number = 0 if text == "none" else int(text)
    if text != "none" and number < 1:
        raise ValueError
    return number
