"""What shows a fault: a record of its own time, and one that shows no other fault."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from config.chaos import collect
from config.chaos.fault_log import FaultEntry
from config.chaos.sightings import NAMES, see_all

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


class Rows:
    """A database that holds the same rows for every question, as far as they are in the time asked for."""

    def __init__(self, *seconds: float) -> None:
        self._rows = [
            (f"row {number}", NOON + timedelta(seconds=at), number) for number, at in enumerate(seconds, start=1)
        ]

    def query(self, statement: str, asked: dict[str, Any]) -> list[tuple[Any, ...]]:
        rows = [row for row in self._rows if asked["since"] < row[1] < asked["until"]]
        return rows[: asked["most"]]


def fault(number: int, seconds: float, detect: str, victims: list[int] | None = None) -> FaultEntry:
    at = NOON + timedelta(seconds=seconds)
    entry = FaultEntry(number, "kill", "x", detect, {}, lasting=False, on=100.0 + seconds, on_at=at)
    return replace(entry, victims=victims or [])


def seen_by(rows: Any, *faults: FaultEntry, unready: tuple[float, ...] = ()) -> dict[int, float]:
    found = see_all(rows, faults, [], [(100.0 + at, "503") for at in unready])
    return {one.fault: round(one.seconds, 3) for one in found}


def test_a_record_of_a_later_fault_does_not_show_an_earlier_one() -> None:
    first, second = fault(1, 0, "recovery:memory"), fault(2, 5, "recovery:memory")
    assert seen_by(Rows(6), first, second) == {2: 1.0}
    assert seen_by(Rows(0.5, 6), first, second) == {1: 0.5, 2: 1.0}
    assert seen_by(Rows(6), first) == {1: 6.0}


def test_a_record_shows_one_fault_alone() -> None:
    first, other = fault(1, 0, "errors:sim"), fault(2, 0.2, "errors:sim-a")
    assert seen_by(Rows(1), first, other) == {1: 1.0}
    assert seen_by(Rows(1, 1.5), first, other) == {1: 1.0, 2: 1.3}


def test_deaths_are_told_apart_by_their_processes() -> None:
    first, second = fault(1, 0, "process", [7]), fault(2, 0.2, "process", [8])
    assert seen_by(Rows(1, 1.1), first, second) == {1: 1.0, 2: 0.9}


def test_the_health_page_shows_the_fault_that_began_last() -> None:
    first, second = fault(1, 0, "unready"), fault(2, 5, "unready")
    assert seen_by(None, first, second, unready=(6.0, 6.1)) == {2: 1.0}
    assert seen_by(None, first, second, unready=(0.3, 6.0)) == {1: 0.3, 2: 1.0}


class Database:
    """The database of the tests, asked as a stack asks its own."""

    def query(self, statement: str, parameters: Any) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())


@pytest.mark.django_db
def test_every_question_can_be_asked() -> None:
    stack: Any = Database()
    assert see_all(stack, [fault(number, 0, f"{name}:x", [7]) for number, name in enumerate(NAMES)], [], []) == []
    assert collect.ticks(stack, NOON) == []
    assert collect.changes(stack, NOON) == []
