"""``manage.py deadletters``: see dead letters and decide on them."""

import json
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from reliability.core.errors import ReliabilityError
from reliability.core.presentation import instant_text
from reliability.management.actor import command_line_actor
from reliability.management.person import person_of_password
from reliability.selectors.jobs import dead_letter_summary, find_dead_letter, list_attempts, list_dead_letters
from reliability.services.jobs.bulk_replay import Replay, ask_for_replay
from reliability.services.jobs.deadletters import MOST_AT_ONCE, discard_dead_letters, replay_dead_letters


class Command(BaseCommand):
    help = "List, show, replay and discard dead letters. Exit status 1 and one line when nothing was done."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="newest first")
        _add_filters(listing)
        listing.add_argument("--limit", type=_count, default=50, help="at most this many (default 50)")
        listing.add_argument("--json", action="store_true", help="one JSON object a line")
        actions.add_parser("show", help="one with its attempts, as JSON").add_argument("id", type=int)
        replay = actions.add_parser("replay", help="let them run again with fresh attempts")
        replay.add_argument("ids", type=int, nargs="*", metavar="ID")
        replay.add_argument("--all", action="store_true", help=f"all that match, up to {MOST_AT_ONCE}")
        _add_filters(replay)
        replay.add_argument("--reason", default="", help="kept with the decision")
        replay.add_argument(
            "--as", dest="person", default="", help="username of who proposes; several at once take a second person"
        )
        replay.add_argument("--dry-run", action="store_true", help="say what would be replayed, change nothing")
        discard = actions.add_parser("discard", help="give them up for good")
        discard.add_argument("ids", type=int, nargs="+", metavar="ID")
        discard.add_argument("--reason", required=True, help="kept with the decision")

    def handle(self, *args: Any, **options: Any) -> None:
        actions: dict[str, Callable[[dict[str, Any]], None]] = {
            "list": self._list,
            "show": self._show,
            "replay": self._replay,
            "discard": self._discard,
        }
        try:
            actions[options["action"]](options)
        except ReliabilityError as error:
            raise CommandError(error.message) from error

    def _list(self, options: dict[str, Any]) -> None:
        for job in list_dead_letters(kind=options["kind"], error_code=options["error_code"], limit=options["limit"]):
            if options["json"]:
                self.stdout.write(json.dumps(dead_letter_summary(job), default=str))
            else:
                died = instant_text(job.finished_at) if job.finished_at else "-"
                self.stdout.write(f"{job.pk}  {died}  {job.kind}  {job.error_code or '-'}  {job.error_message}")

    def _show(self, options: dict[str, Any]) -> None:
        job = find_dead_letter(options["id"])
        if job is None:
            raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no dead letter {options['id']}.")
        facts = {**dead_letter_summary(job), "attempts": list_attempts(job.pk)}
        self.stdout.write(json.dumps(facts, indent=2, default=str))

    def _replay(self, options: dict[str, Any]) -> None:
        ids = self._chosen(options)
        if options["dry_run"]:
            self.stdout.write(f"Would replay {len(ids)}: {' '.join(map(str, ids))}")
            return
        if not options["reason"].strip():
            raise CommandError("give a reason: --reason TEXT")
        if len(set(ids)) == 1:
            changed = replay_dead_letters(ids, actor=command_line_actor(), reason=options["reason"])
            self.stdout.write(str(Replay(changed)))
            return
        if not options["person"]:
            raise CommandError("the replay of several takes two persons: say who proposes it with --as USERNAME")
        person = person_of_password(options["person"])
        self.stdout.write(str(ask_for_replay(ids, by=person, reason=options["reason"])))

    def _discard(self, options: dict[str, Any]) -> None:
        changed = discard_dead_letters(options["ids"], actor=command_line_actor(), reason=options["reason"])
        self.stdout.write(f"{changed} of {len(options['ids'])} discarded.")

    def _chosen(self, options: dict[str, Any]) -> list[int]:
        """Return the ids that were named, or those that match; never everything by accident."""
        filtered = bool(options["kind"] or options["error_code"])
        if options["all"] == bool(options["ids"]):
            raise CommandError("name ids, or use --all with --kind or --error-code")
        if filtered != options["all"]:
            raise CommandError("--all and a filter (--kind, --error-code) go together")
        if options["ids"]:
            return list(options["ids"])
        jobs = list_dead_letters(kind=options["kind"], error_code=options["error_code"], limit=MOST_AT_ONCE)
        if not jobs:
            raise CommandError("no dead letter matches")
        return [job.pk for job in jobs]


def _add_filters(parser: ArgumentParser) -> None:
    parser.add_argument("--kind", default="", help="only this kind of job")
    parser.add_argument("--error-code", default="", help="only this error code")


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 10_000:
        raise ValueError
    return number
