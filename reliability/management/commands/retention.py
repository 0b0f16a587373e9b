"""``manage.py retention``: what is kept for how long, what would go, and legal holds."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from reliability.core.errors import ReliabilityError
from reliability.core.presentation import instant_text
from reliability.management.actor import command_line_actor
from reliability.selectors.retention import list_holds, list_policies
from reliability.services.retention.holds import place_hold, release_hold
from reliability.services.retention.keepers import list_keepers
from reliability.services.retention.policies import set_policy
from reliability.services.retention.upkeep import ensure_policies, plan, run_upkeep


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Command(BaseCommand):
    help = "See what is kept for how long and what would go, do the upkeep now, place and release legal holds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="policies, and how their upkeep last went")
        actions.add_parser("plan", help="what the next upkeep would drop, and what holds keep; changes nothing")
        actions.add_parser("run", help="do the upkeep now; exit status 1 if something was left or went wrong")
        change = actions.add_parser("set", help="keep a kind for so many days")
        change.add_argument("kind")
        change.add_argument("--days", required=True, help="days after a piece's end, or 'ever'")
        change.add_argument("--no-export", action="store_true", help="drop without writing a file first")
        actions.add_parser("holds", help="legal holds in force")
        hold = actions.add_parser("hold", help="place a legal hold")
        hold.add_argument("--kind", default="", help="only this kind; without it every kind")
        hold.add_argument(
            "--from", dest="starts_at", type=_instant, required=True, help="ISO 8601, UTC if it says none"
        )
        hold.add_argument("--to", dest="ends_at", type=_instant, help="ISO 8601; without it everything since then")
        hold.add_argument("--reason", required=True)
        release = actions.add_parser("release", help="release a legal hold that another person placed")
        release.add_argument("hold", type=int)
        release.add_argument("--reason", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        ensure_policies()
        try:
            getattr(self, f"_{options['action']}")(options)
        except ReliabilityError as error:
            raise CommandError(error.message) from error

    def _list(self, options: dict[str, Any]) -> None:
        self.stdout.write(f"{'kind':<14}{'kept':>10}{'export':>8}{'due':>6}{'held':>6}  last upkeep")
        for one in list_policies():
            kept = f"{one.keep_days} days" if one.keep_days else "ever"
            last = instant_text(one.last_run_at) if one.last_run_at else "never"
            trouble = f"  {one.last_error}" if one.last_error else ""
            export = "yes" if one.is_exported else "no"
            self.stdout.write(f"{one.kind:<14}{kept:>10}{export:>8}{one.due:>6}{one.held:>6}  {last}{trouble}")

    def _plan(self, options: dict[str, Any]) -> None:
        lines = [(keeper.kind, one) for keeper in list_keepers() for one in plan(keeper.kind)]
        for kind, one in lines:
            by = f" by hold {', '.join(map(str, one.holds))}" if one.holds else ""
            self.stdout.write(f"{kind:<14}{one.piece.name:<40}{one.fate.value}{by}")
        if not lines:
            self.stdout.write("Nothing is due.")

    def _run(self, options: dict[str, Any]) -> None:
        reports = run_upkeep(actor=command_line_actor(), seconds=float("inf"))
        if not reports:
            raise CommandError("Another process is doing the upkeep now.")
        for one in reports:
            rows = sum(number for _, number in one.dropped)
            self.stdout.write(
                f"{one.kind}: made {len(one.made)}, dropped {len(one.dropped)} with {rows} rows, held {one.held}, "
                f"left {one.due}{f' ({one.error})' if one.error else ''}"
            )
        if any(one.error or one.due for one in reports):
            raise CommandError("Something was left.")

    def _set(self, options: dict[str, Any]) -> None:
        text = options["days"]
        if text != "ever" and not text.isdigit():
            raise CommandError("--days takes a whole number or 'ever'")
        days = None if text == "ever" else int(text)
        policy = set_policy(
            options["kind"], keep_days=days, is_exported=not options["no_export"], actor=command_line_actor()
        )
        self.stdout.write(f"{policy.kind} is kept {f'for {days} days' if days else 'for good'}.")

    def _holds(self, options: dict[str, Any]) -> None:
        for one in list_holds(in_force=True):
            until = instant_text(one.ends_at) if one.ends_at else "for ever"
            self.stdout.write(
                f"{one.pk}  {one.kind or 'everything'}  {instant_text(one.starts_at)} to {until}  "
                f"by {one.placed_by}: {one.reason}"
            )

    def _hold(self, options: dict[str, Any]) -> None:
        terms = {name: options[name] for name in ("kind", "starts_at", "ends_at", "reason")}
        hold = place_hold(**terms, actor=command_line_actor())
        self.stdout.write(f"Hold {hold.pk} is in force.")

    def _release(self, options: dict[str, Any]) -> None:
        hold = release_hold(options["hold"], actor=command_line_actor(), reason=options["reason"])
        self.stdout.write(f"Hold {hold.pk} is released.")
