"""``manage.py positions``: what is held now or was at an instant, and changes that no execution made."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from brokers.core.corporate_actions import CashEntryKind, SplitRatio
from brokers.management.commands.audit import instant
from brokers.selectors.holdings import list_positions_then, position_then_facts
from brokers.services.account_proposals import propose_adjustment, propose_cash, propose_split, propose_symbol
from brokers.services.accounts import list_profiles
from reliability.core.errors import ReliabilityError
from reliability.management.person import person_of_password


class Command(BaseCommand):
    help = "Show positions, and record what changed them or the cash without an execution. No order is ever sent."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        show = actions.add_parser("show", help="positions as JSON")
        show.add_argument("--at", type=instant, help="as they were known then, for example 2026-11-23T14:30:00.250Z")
        show.add_argument("--account", default="")
        adjust = actions.add_parser("adjust", help="set what is held of a symbol")
        adjust.add_argument("--quantity", type=number, required=True)
        adjust.add_argument("--average-price", type=number)
        split = actions.add_parser("split", help="4:1 makes four of each one")
        split.add_argument("--ratio", type=ratio, required=True, metavar="NEW:OLD")
        rename = actions.add_parser("rename", help="what is held goes by another symbol")
        rename.add_argument("--to", required=True, metavar="SYMBOL")
        cash = actions.add_parser("cash", help="book cash that moved without an execution")
        cash.add_argument("--kind", choices=[one.value for one in CashEntryKind], required=True)
        cash.add_argument("--amount", type=number, required=True, help="negative is paid")
        cash.add_argument("--currency", default="USD")
        for action in (adjust, split, rename, cash):
            action.add_argument("--account", required=True)
            action.add_argument("--symbol", required=action is not cash, default="")
            action.add_argument("--reason", required=True, help="kept with the change")
            whose = "username of the person who proposes; asks for the password, or reads it from standard input"
            action.add_argument("--as", dest="person", required=True, help=whose)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "show":
            found = list_positions_then(options["at"] or timezone.now(), account=options["account"])
            self.stdout.write(json.dumps([position_then_facts(one) for one in found], indent=2, default=str))
            return
        try:
            number = self._propose(_account(options["account"]), options)
            self.stdout.write(f"Proposed: another person confirms intervention {number}.")
        except ReliabilityError as error:
            details = "; ".join(str(one) for several in error.details.values() for one in several)
            raise CommandError(f"{error.message} {details}".strip()) from error

    def _propose(self, account_id: int, options: dict[str, Any]) -> int:
        told = {"by": person_of_password(options["person"]), "reason": options["reason"]}
        symbol = options["symbol"]
        if options["action"] == "adjust":
            numbers = {"quantity": options["quantity"], "average_price": options["average_price"]}
            return propose_adjustment(account_id, symbol, **numbers, **told)
        if options["action"] == "split":
            return propose_split(account_id, symbol, options["ratio"], **told)
        if options["action"] == "rename":
            return propose_symbol(account_id, symbol, options["to"], **told)
        kind = CashEntryKind(options["kind"])
        return propose_cash(account_id, kind, options["amount"], currency=options["currency"], symbol=symbol, **told)


def number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ArgumentTypeError(f"not a number: {text!r}") from None


def ratio(text: str) -> SplitRatio:
    new, sign, old = text.partition(":")
    try:
        return SplitRatio(Decimal(new), Decimal(old if sign else "1"))
    except (InvalidOperation, ValueError):
        raise ArgumentTypeError(f"write the ratio as 4:1, not {text!r}") from None


def _account(name: str) -> int:
    for profile in list_profiles():
        if profile.name == name:
            return profile.id
    raise CommandError(f"there is no account called {name!r}")
