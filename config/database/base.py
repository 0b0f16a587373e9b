"""Django's PostgreSQL backend, asking an idle connection for its health and not a busy one."""

import time
from typing import Any

from django.db.backends.postgresql import base

_TRUSTED_SECONDS = 1.0


class DatabaseWrapper(base.DatabaseWrapper):
    """Trusts a connection that answered within the last second.

    Django asks once per request, which costs a round trip each time. After a crash of the
    server a connection used a moment before may fail once; the caller is told 503 and sends
    the same request again under its key.
    """

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
