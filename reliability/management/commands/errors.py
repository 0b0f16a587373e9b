"""``manage.py errors``: the catalogue of errors, and what raw failures mean. It needs no installation."""

import io
import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from reliability.core.catalog import CATALOG
from reliability.core.classification import Operation, RawFailure
from reliability.core.classification_facts import CSV_INPUT, CSV_RESULT, classification_facts
from reliability.core.presentation import definition_facts
from reliability.core.taxonomy import ErrorCategory, ErrorDefinition
from reliability.services.classification import preview
from reliability.services.classification_table import BadTableError, classify_table

_BAD_INPUT = 2


class Command(BaseCommand):
    help = "Explain and list error codes; classify raw failures. Needs no database and no settings."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        explain = actions.add_parser("explain", help="everything about one code")
        explain.add_argument("code", metavar="CODE")
        explain.add_argument("--json", action="store_true", help="as JSON")
        listing = actions.add_parser("list", help="all codes, or those of one category")
        listing.add_argument("--category", choices=[category.value for category in ErrorCategory])
        listing.add_argument("--json", action="store_true", help="one JSON object a line")
        classify = actions.add_parser(
            "classify",
            help="what a raw failure means; without arguments, a CSV table on standard input",
            description=f"Without arguments: CSV with the header {','.join(CSV_INPUT)} on standard input is answered "
            f"with CSV in the same order and {','.join(CSV_RESULT)} behind it.",
        )
        classify.add_argument("--source", help="who speaks: alpaca_rest, ccxt, requests, psycopg, redis, http, ...")
        classify.add_argument("--operation", help=", ".join(Operation))
        classify.add_argument("--raw-code", help="the source's own code: HTTP status/broker code, class, SQLSTATE")
        classify.add_argument("--message", help="the body or text that came with it")
        classify.add_argument("--header", action="append", help="a header of the answer, as 'Name: value'; repeatable")
        classify.add_argument("--json", action="store_true", help="answer in JSON, which it does anyway")

    def handle(self, *args: Any, **options: Any) -> None:
        actions: dict[str, Callable[[dict[str, Any]], None]] = {
            "explain": self._explain,
            "list": self._list,
            "classify": self._classify,
        }
        try:
            actions[options["action"]](options)
            self.stdout.flush()
        except BrokenPipeError:
            _leave_quietly()

    def _explain(self, options: dict[str, Any]) -> None:
        if not options["code"].strip():
            raise CommandError("name a code; see manage.py errors list", returncode=_BAD_INPUT)
        definition = CATALOG.get(options["code"].strip().upper())
        if definition is None:
            near = [code for code in CATALOG if options["code"].strip().upper() in code]
            hint = f"; did you mean {', '.join(near[:5])}?" if near else "; see manage.py errors list"
            raise CommandError(f"there is no code {options['code']}{hint}", returncode=_BAD_INPUT)
        if options["json"]:
            self._write_json(definition_facts(definition), indent=2)
        else:
            self.stdout.write(_explanation(definition))

    def _list(self, options: dict[str, Any]) -> None:
        for definition in CATALOG.values():
            if options["category"] not in (None, definition.category.value):
                continue
            if options["json"]:
                self._write_json(definition_facts(definition))
            else:
                self.stdout.write(f"{definition.code:<34} {definition.severity.value:<9} {definition.message}")

    def _classify(self, options: dict[str, Any]) -> None:
        given = [options[name] for name in ("source", "operation", "raw_code", "message", "header")]
        if all(value is None for value in given):
            self._classify_table()
            return
        if options["source"] is None or options["operation"] is None:
            raise CommandError("give --source and --operation, or a table on standard input", returncode=_BAD_INPUT)
        try:
            operation = Operation(options["operation"].strip().lower())
        except ValueError:
            known = ", ".join(Operation)
            raise CommandError(f"--operation is one of {known}", returncode=_BAD_INPUT) from None
        raw = RawFailure(
            options["source"].strip(),
            operation,
            options["raw_code"] or "",
            options["message"] or "",
            headers=_headers(options["header"] or []),
        )
        self._write_json(classification_facts(preview(raw)), indent=2)

    def _classify_table(self) -> None:
        lines = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", errors="surrogateescape", newline="")
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="")
        self.stdout.ending = ""
        try:
            classify_table(lines, self.stdout)  # type: ignore[arg-type]  # it has the write that is needed
        except BadTableError as error:
            raise CommandError(str(error), returncode=_BAD_INPUT) from None
        finally:
            lines.detach()  # standard input is not ours to close

    def _write_json(self, facts: dict[str, Any], indent: int | None = None) -> None:
        self.stdout.write(json.dumps(facts, indent=indent))


def _headers(texts: list[str]) -> dict[str, str]:
    headers = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise CommandError("--header is 'Name: value'", returncode=_BAD_INPUT)
        headers[name.strip()] = value.strip()
    return headers


def _explanation(definition: ErrorDefinition) -> str:
    lines = [definition.code, f"  {definition.message}", ""]
    facts = (
        ("category", definition.category.value),
        ("severity", definition.severity.value),
        ("retryable", "yes" if definition.retryable else "no"),
        ("ambiguous", "yes: it may have been carried out" if definition.ambiguous else "no"),
        ("strategy", definition.strategy.value),
        ("HTTP status", str(definition.http_status)),
        ("suggestion", definition.suggestion),
        ("by hand", definition.manual_steps),
        ("escalation", definition.escalation),
        ("instead", definition.fallback),
        ("runbook", definition.runbook),
    )
    return "\n".join(lines + [f"  {name + ':':<13}{value}" for name, value in facts if value])


def _leave_quietly() -> None:
    """End without a word when the reader of our output has gone; nothing may be flushed into its pipe again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)
