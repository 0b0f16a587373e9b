"""``manage.py feeds``: where market data comes from, and what each source is asked for."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from reconciliation.core.gaps import GapPolicy
from reconciliation.core.timeframes import Timeframe
from reconciliation.management.instants import instant_argument
from reconciliation.models import Feed, FeedSubscription
from reconciliation.services.market_data.feed_settings import add_feed, subscribe_symbol
from reliability.core.errors import ReliabilityError
from reliability.management.actor import command_line_actor


class Command(BaseCommand):
    help = "Set up feeds of market data. Exit status 1 and one line when nothing was done."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="feeds, their state and what they deliver")
        add = actions.add_parser("add", help="read market data with the credentials of an account")
        add.add_argument("name")
        add.add_argument("--account", required=True, help="whose broker and credentials are used")
        add.add_argument("--data-url", default="", help="address of the data API, where it is not the broker's")
        add.add_argument("--stream-url", default="", help="address of the stream; without it bars are fetched")
        add.add_argument("--priority", type=int, default=100, help="the lowest is the primary (default 100)")
        add.add_argument(
            "--policy",
            choices=[one.value for one in GapPolicy],
            help="whether a missing bar of this feed is a gap (default: as each series says)",
        )
        subscribe = actions.add_parser("subscribe", help="have a feed deliver the bars of a symbol from now on")
        subscribe.add_argument("name")
        subscribe.add_argument("--symbol", required=True)
        subscribe.add_argument("--timeframe", required=True, choices=[one.value for one in Timeframe])
        subscribe.add_argument("--calendar", required=True, help="FX, 24/7, or a code such as XNAS")
        subscribe.add_argument("--policy", choices=[one.value for one in GapPolicy], default=GapPolicy.EVERY_SLOT.value)
        subscribe.add_argument(
            "--since", type=instant_argument, help="have the bars of a new series fetched from then on (UTC)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(options)
        except ReliabilityError as error:
            raise CommandError(error.message) from error

    def _add(self, options: dict[str, Any]) -> None:
        feed = add_feed(
            options["name"],
            account=options["account"],
            data_url=options["data_url"],
            stream_url=options["stream_url"],
            priority=options["priority"],
            policy=GapPolicy(options["policy"]) if options["policy"] else None,
            by=command_line_actor(),
        )
        self.stdout.write(f"{feed.name}: added. Subscribe it to symbols.")

    def _subscribe(self, options: dict[str, Any]) -> None:
        series = subscribe_symbol(
            options["name"],
            symbol=options["symbol"],
            timeframe=Timeframe(options["timeframe"]),
            calendar=options["calendar"],
            policy=GapPolicy(options["policy"]),
            since=options["since"],
            by=command_line_actor(),
        )
        self.stdout.write(f"{options['name']}: delivers {series} from now on.")

    def _list(self, options: dict[str, Any]) -> None:
        subscriptions = FeedSubscription.objects.select_related("series")
        for feed in Feed.objects.all():
            theirs = ", ".join(str(one.series) for one in subscriptions.filter(feed=feed)) or "nothing"
            state = feed.state if feed.enabled else "disabled"
            self.stdout.write(f"{feed.name}: {state}, account {feed.account}, order {feed.priority}: {theirs}")
            if feed.last_error:
                self.stdout.write(f"  {feed.last_error}")
