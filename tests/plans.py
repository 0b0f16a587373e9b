"""What PostgreSQL really did for the statements of some code: their plans, told by ``auto_explain``."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from psycopg.errors import InsufficientPrivilege, UndefinedFile

_SETTINGS = {
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    "client_min_messages": "log",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a plan: what it is, the table or index it reads, and how many rows it looked at in all.

    ``depth`` is 0 for the uppermost, of which each statement has one.
    """

    statement: str
    depth: int
    kind: str
    table: str
    index: str
    rows: float

    def __str__(self) -> str:
        return f"{self.kind} {self.table} {self.index}: {self.rows:.0f} rows, in {self.statement}"


@contextmanager
def recorded_plans() -> Iterator[list[Step]]:
    """Give the steps of all statements that Django's connection runs meanwhile; skips where the server cannot tell."""
    steps: list[Step] = []
    with connection.cursor() as cursor:
        try:
            cursor.execute("LOAD 'auto_explain'")
        except Exception as error:
            if isinstance(error.__cause__, InsufficientPrivilege | UndefinedFile):
                pytest.skip(f"the server does not tell its plans: {error}")
            raise
        for name, value in _SETTINGS.items():
            cursor.execute(f"SET {name} = '{value}'")

    def note(diagnostic: Any) -> None:
        _, found, text = diagnostic.message_primary.partition(" plan:\n")
        if found:
            plan = json.loads(text)
            steps.extend(_steps(plan["Query Text"], 0, plan["Plan"]))

    connection.connection.add_notice_handler(note)
    try:
        yield steps
    finally:
        connection.connection.remove_notice_handler(note)
        with connection.cursor() as cursor:
            for name in _SETTINGS:
                cursor.execute(f"RESET {name}")


def _steps(statement: str, depth: int, node: dict[str, Any]) -> Iterator[Step]:
    removed = sum(value for name, value in node.items() if name.startswith("Rows Removed by"))
    rows = (node["Actual Rows"] + removed) * node["Actual Loops"]
    yield Step(statement, depth, node["Node Type"], node.get("Relation Name", ""), node.get("Index Name", ""), rows)
    for child in node.get("Plans", ()):
        yield from _steps(statement, depth + 1, child)
