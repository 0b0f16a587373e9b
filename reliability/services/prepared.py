"""Statements that run all the time, prepared once per connection: planning them costs more than running them."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.db import connection


def fetch_prepared(sql: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run one constant statement on Django's connection, in its transaction if there is one; returns the rows.

    Values are bound by the server. Raises Django's database errors.
    """
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        psycopg.Cursor(cursor.connection) as prepared,
    ):
        prepared.execute(sql, parameters, prepare=True)
        return prepared.fetchall() if prepared.description is not None else []


def forget_plans() -> None:
    """Have the statements of Django's connection planned anew at their next use.

    A plan is kept for as long as the statistics stay as they are, and PostgreSQL gathers them once a minute. One made
    while a table had a page reads the whole table for each row of a batch; after some thousand new orders that takes
    longer than any statement may.
    """
    with connection.cursor() as cursor:
        cursor.execute("DISCARD PLANS")
