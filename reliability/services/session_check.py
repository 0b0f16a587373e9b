"""The system check that the database gives our processes sessions of their own."""

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from django.core.checks import CheckMessage, Error, Tags, register

from reliability.services.own_sessions import REFUSAL, are_shared
from reliability.services.pulse import open_connection


def check_sessions(
    app_configs: Sequence[Any] | None,
    databases: Sequence[str] | None = None,
    connect: "Callable[[str], psycopg.Connection[Any]]" = open_connection,
    **_: Any,
) -> list[CheckMessage]:
    """The system check: with ``check --database default``, and before every ``migrate``."""
    if "default" not in (databases or ()):
        return []
    try:
        with connect("session check") as one, connect("session check") as other:
            shared = are_shared(one, other)
    except psycopg.OperationalError as error:
        return [Error(f"The database cannot be asked: {str(error).strip()}", id="stanchion.E002")]
    return [Error(REFUSAL, id="stanchion.E001")] if shared else []


def register_session_check() -> None:
    register(check_sessions, Tags.database)
