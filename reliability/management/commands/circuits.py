"""``manage.py circuits``: see circuits, change their settings, pin, unpin and reset them."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from reliability.core.breaker import PinnedState
from reliability.core.breaker_settings import SPEC_KEYS, BreakerSettings
from reliability.core.errors import ReliabilityError
from reliability.core.presentation import instant_text
from reliability.management.actor import command_line_actor
from reliability.selectors.circuits import list_transitions
from reliability.services.circuit_board import (
    CircuitView,
    circuit_facts,
    get_circuit_view,
    read_board,
    transition_facts,
)
from reliability.services.circuit_changes import (
    DEFAULT_PIN_MINUTES,
    MOST_PIN_MINUTES,
    change_settings,
    pin_circuit,
    require_circuit,
    reset_circuit,
    unpin_circuit,
)

_STORE_AWAY = "The shared store cannot be reached: what is shown is recorded; each process decides alone."
_LATER = "The shared store cannot be reached: the processes take it up once it is back."


class Command(BaseCommand):
    help = "List circuits, change settings, pin and reset. Exit status 1 and one line when nothing was done."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="every circuit as it is now").add_argument("--json", action="store_true")
        show = _named(actions.add_parser("show", help="one with its settings"))
        show.add_argument("--json", action="store_true")
        change = _named(actions.add_parser("set", help=f"settings: {', '.join(BreakerSettings.__dataclass_fields__)}"))
        change.add_argument(
            "values", nargs="+", metavar="KEY=VALUE", help=f"or, in milliseconds: {', '.join(SPEC_KEYS)}"
        )
        pin = _named(actions.add_parser("pin", help="put a state above its own, in every process"))
        pin.add_argument("state", choices=[state.value for state in PinnedState])
        pin.add_argument(
            "--minutes",
            type=float,
            default=DEFAULT_PIN_MINUTES,
            help=f"default {DEFAULT_PIN_MINUTES}, at most {MOST_PIN_MINUTES}",
        )
        changes = [change, pin]
        for name, purpose in (("unpin", "remove the pin"), ("reset", "close it and forget what was counted")):
            changes.append(_named(actions.add_parser(name, help=purpose)))
        for one in changes:
            one.add_argument("--reason", required=True, help="kept with the change")
        history = _named(actions.add_parser("history", help="its changes of state, newest first"))
        history.add_argument("--limit", type=int, default=50, help="at most this many (default 50)")
        history.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(options)
        except ReliabilityError as error:
            raise CommandError(error.message) from error
        except OperationalError as error:
            first_line = str(error).strip().partition("\n")[0]
            raise CommandError(f"The database cannot be asked: {first_line}") from error

    def _list(self, options: dict[str, Any]) -> None:
        board = read_board()
        if options["json"]:
            facts = {"store_reachable": board.is_reachable, "results": [circuit_facts(one) for one in board.circuits]}
            self.stdout.write(json.dumps(facts, indent=2, default=str))
            return
        if not board.is_reachable:
            self.stderr.write(_STORE_AWAY)
        if not board.circuits:
            self.stdout.write("No circuit has been seen yet.")
            return
        width = max(len(view.name) for view in board.circuits) + 2
        self.stdout.write(f"{'circuit':<{width}}{'state':<14}{'for':>9}{'failed':>12}  pin")
        for view in board.circuits:
            self.stdout.write(
                f"{view.name:<{width}}{view.state.value:<14}{_remaining(view):>9}{_failed(view):>12}  {_pin_text(view)}"
            )

    def _show(self, options: dict[str, Any]) -> None:
        view = get_circuit_view(options["name"])
        facts = circuit_facts(view)
        if options["json"]:
            self.stdout.write(json.dumps(facts, indent=2, default=str))
            return
        self.stdout.write(
            f"{view.name} is {view.state.value}{_for(view)}; {_failed(view)} calls failed; pin: {_pin_text(view)}"
        )
        if not view.is_shared:
            self.stdout.write("Nobody calls it." if view.is_current else _STORE_AWAY)
        elif not view.is_current:
            self.stdout.write("The processes are about to take up what is recorded.")
        for name, value in facts["settings"].items():
            self.stdout.write(f"  {name:<28}{'-' if value is None else value}")
        self.stdout.write(f"  settings version {view.settings_version}")

    def _set(self, options: dict[str, Any]) -> None:
        values = _parse(options["values"])
        change_settings(options["name"], values, actor=command_line_actor(), reason=options["reason"])
        self._say(options["name"], f"{options['name']} uses {' '.join(options['values'])}.")

    def _pin(self, options: dict[str, Any]) -> None:
        state, minutes = PinnedState(options["state"]), options["minutes"]
        pin_circuit(options["name"], state, minutes=minutes, actor=command_line_actor(), reason=options["reason"])
        self._say(options["name"], f"{options['name']} is pinned {state.value} for {minutes:g} minutes.")

    def _unpin(self, options: dict[str, Any]) -> None:
        unpin_circuit(options["name"], actor=command_line_actor(), reason=options["reason"])
        self._say(options["name"], f"{options['name']} is not pinned any more.")

    def _reset(self, options: dict[str, Any]) -> None:
        reset_circuit(options["name"], actor=command_line_actor(), reason=options["reason"])
        self.stdout.write(f"{options['name']} was reset.")

    def _history(self, options: dict[str, Any]) -> None:
        if not 1 <= options["limit"] <= 10_000:
            raise CommandError("--limit is from 1 to 10000")
        require_circuit(options["name"])
        for row in list_transitions(options["name"], limit=options["limit"]):
            if options["json"]:
                self.stdout.write(json.dumps(transition_facts(row), default=str))
                continue
            where = f"  only {row.process}" if row.is_local else ""
            why = f"  ({row.reason})" if row.reason else ""
            self.stdout.write(f"{instant_text(row.at)}  {row.from_state} -> {row.to_state}  {row.cause}{why}{where}")

    def _say(self, name: str, line: str) -> None:
        self.stdout.write(line)
        if not get_circuit_view(name).is_current:
            self.stderr.write(_LATER)


def _named(parser: ArgumentParser) -> ArgumentParser:
    parser.add_argument("name", help="for example sim-a:orders")
    return parser


def _parse(words: list[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key:
            raise CommandError(f"write KEY=VALUE, not {word!r}")
        if key in values:
            raise CommandError(f"{key} is given twice")
        values[key] = value
    return values


def _remaining(view: CircuitView) -> str:
    return "-" if not view.remaining_seconds else f"{view.remaining_seconds:.0f} s"


def _for(view: CircuitView) -> str:
    return f" for another {view.remaining_seconds:.0f} s" if view.remaining_seconds else ""


def _failed(view: CircuitView) -> str:
    return f"{view.failures} of {view.calls}"


def _pin_text(view: CircuitView) -> str:
    if view.pin is None:
        return "-"
    until = instant_text(view.pin.expires_at) if view.pin.expires_at else "removed"
    return f"{view.pin.state.value} by {view.pin.author} until {until} ({view.pin.reason})"
