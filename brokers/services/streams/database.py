"""Database work of the stream processes, in threads beside their event loop."""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, connection

from reliability.services.jobs.execution import DatabaseUnavailable

logger = logging.getLogger(__name__)
_T = TypeVar("_T")


async def in_database(work: Callable[[], _T]) -> _T:
    """Run ``work`` in a thread; a connection that broke is closed, so that the next try opens another."""

    def run() -> _T:
        try:
            return work()
        except DatabaseUnavailable:
            connection.close()
            raise

    return await asyncio.to_thread(run)


async def note(account_id: int, write: Callable[[], object]) -> bool:
    """Write what only people read, and return whether it was; without a database it is left out."""
    try:
        await in_database(write)
    except DatabaseError as error:
        logger.warning("stream state not noted", extra={"account": account_id, "error": str(error)})
        return False
    return True
