"""Django's PostgreSQL backend, asking an idle connection for its health and not a busy one."""

import time
from typing import Any, Self

from django.db.backends.postgresql import base, schema

_TRUSTED_SECONDS = 1.0


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    """Lets a migration think between its statements.

    Our processes are cut off when they idle within a transaction, lest a frozen one keep its locks. A migration
    computes the state of all models in between, which takes long on a busy machine, and nobody works beside it.
    """

    def __enter__(self) -> Self:
        entered = super().__enter__()
        if self.atomic_migration and not self.collect_sql:
            with self.connection.cursor() as cursor:
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        return entered


class DatabaseWrapper(base.DatabaseWrapper):
    """Trusts a connection that answered within the last second.

    Django asks once per request, which costs a round trip each time. After a crash of the
    server a connection used a moment before may fail once; the caller is told 503 and sends
    the same request again under its key.
    """

    SchemaEditorClass = DatabaseSchemaEditor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._answered_at = 0.0

    def is_usable(self) -> bool:
        if time.monotonic() - self._answered_at < _TRUSTED_SECONDS:
            return True
        usable = super().is_usable()
        self._answered_at = time.monotonic() if usable else 0.0
        return usable

    def close(self) -> None:
        self._answered_at = 0.0
        super().close()
