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
