"""Whether a connection to the database has a session to itself, as it has not behind a pooler in transaction mode.

Such a pooler hands a server's session to whoever runs a transaction next. A pulse or a place would then be a lock of
somebody else, settings and prepared statements would be lost or another's: docs/explanation/scaling.md has the list.
"""

from typing import Any

import psycopg

_WHO = "SELECT pg_backend_pid(), pg_postmaster_start_time()"
_ROUNDS = 4
REFUSAL = (
    "The database is reached through a pooler in transaction mode: two connections were served by the same session. "
    "Locks, settings and prepared statements of ours live as long as a session: use pool_mode = session, or no pooler."
)


def are_shared(one: "psycopg.Connection[Any]", other: "psycopg.Connection[Any]") -> bool:
    """Tell whether two open connections, both in autocommit, are seen to be served by one session of the server.

    A pooler that takes turns among many sessions may get through; two sessions of their own are never taken for one.
    """
    sessions: tuple[set[Any], set[Any]] = (set(), set())
    for _ in range(_ROUNDS):
        for seen, connection in zip(sessions, (one, other), strict=True):
            seen.add(connection.execute(_WHO).fetchone())
    return not sessions[0].isdisjoint(sessions[1]) or max(map(len, sessions)) > 1
