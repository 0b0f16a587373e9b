"""What the broker is known to have done, by replies and polls: whatever streams orders must tell of it as well."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import connection

from brokers.core.identifiers import earliest_uuid7
from brokers.core.streams import Names, execution_names, order_names

YOUNG_ORDERS = timedelta(minutes=2)
STUCK_SECONDS = 0.8
_FILL_SLACK_SECONDS = 1.0  # between the broker's clock, which dates executions, and ours

_REPLIES = """
SELECT account_id, client_order_id, broker_order_id,
       extract(epoch FROM clock_timestamp() - acknowledged_at)::float,
       extract(epoch FROM clock_timestamp() - sent_at)::float
FROM brokers_order
WHERE finished_at IS NULL AND account_id = ANY(%s) AND id > %s
  AND acknowledged_at > clock_timestamp() - interval '3 seconds'
"""
_STUCK = """
SELECT DISTINCT account_id FROM brokers_order
WHERE finished_at IS NULL AND account_id = ANY(%s) AND id > %s AND state = 'sending'
  AND sent_at < clock_timestamp() - make_interval(secs => %s)
"""
_LAST_FILL = "SELECT coalesce(max(id), 0) FROM brokers_fill"
_POLLED_FILLS = """
SELECT account_id, execution_id, broker_order_id, cumulative_quantity,
       extract(epoch FROM clock_timestamp() - recorded_at)::float,
       extract(epoch FROM clock_timestamp() - executed_at)::float
FROM brokers_fill
WHERE id > %s AND id <= %s AND source = 'poll' AND order_id IS NOT NULL AND account_id = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class Activity:
    """One thing a broker did; the instants are of the monotonic clock."""

    account_id: int
    names: Names
    known_at: float
    began_at: float


class ActivityReader:
    """Reads what was learned since it last looked, and a little before: repeating is harmless."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._fills_before: list[tuple[float, int]] = []

    def read(self, account_ids: Sequence[int]) -> list[Activity]:
        """Return orders the broker acknowledged and fills that a poll brought, of these accounts."""
        if not account_ids:
            return []
        now, accounts = self._clock(), list(account_ids)
        with connection.cursor() as cursor:
            cursor.execute(_REPLIES, [accounts, _floor()])
            found = [
                Activity(account, order_names(client_id, broker_id), now - known, now - began)
                for account, client_id, broker_id, known, began in cursor.fetchall()
            ]
            cursor.execute(_LAST_FILL)
            last = cursor.fetchone()[0]
            cursor.execute(_POLLED_FILLS, [self._first_fill(now, last), last, accounts])
            found += [
                Activity(account, execution_names(*names), now - known, now - began - _FILL_SLACK_SECONDS)
                for account, *names, known, began in cursor.fetchall()
            ]
        return found

    def find_stuck(self, account_ids: Sequence[int]) -> set[int]:
        """Return those of these accounts whose broker has not answered an order for a while."""
        if not account_ids:
            return set()
        with connection.cursor() as cursor:
            cursor.execute(_STUCK, [list(account_ids), _floor(), STUCK_SECONDS])
            return {row[0] for row in cursor.fetchall()}

    def _first_fill(self, now: float, last: int) -> int:
        """Return the last fill as of two seconds ago: ids may commit in another order than they were drawn."""
        self._fills_before.append((now, last))
        while len(self._fills_before) > 1 and self._fills_before[1][0] <= now - 2.0:
            self._fills_before.pop(0)
        return self._fills_before[0][1]


def _floor() -> UUID:
    return earliest_uuid7(time.time() - YOUNG_ORDERS.total_seconds())
