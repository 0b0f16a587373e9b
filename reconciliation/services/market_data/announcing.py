"""Carry released bars to the Redis stream ``stanchion:bars``: in order, each once.

An entry has the release's ``seq`` as its id, and Redis refuses an id that is not greater than the last: what was sent
and not yet noted before a crash cannot be doubled. Redis's own loss is no loss of bars: ``GET /api/v1/bars?since=``
reads them from the database.
"""

import json
from functools import lru_cache
from typing import Any

import redis
from django.db import connection, transaction

from reconciliation.models import ReleaseCursor
from reconciliation.selectors.bars import list_released
from reliability.conf import get_conf

STREAM = "stanchion:bars"
KEPT = 100_000
_BATCH = 1000
_LOCK = 7_103_004
_NAME = "redis"


def announce_released() -> int:
    """Send what was released since the last time; returns how many entries were sent.

    Raises:
        redis.RedisError: Redis is away or refuses; nothing is lost, call again.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
            if not cursor.fetchone()[0]:
                return 0
        noted, _ = ReleaseCursor.objects.get_or_create(name=_NAME)
        after = max(noted.seq, _last_sent(noted.seq))
        released = list_released(after, limit=_BATCH, announced_only=True)
        if released:
            _send(released)
            after = released[-1]["seq"]
        if after != noted.seq:
            ReleaseCursor.objects.filter(name=_NAME).update(seq=after)
    return len(released)


def _send(released: list[dict[str, Any]]) -> None:
    pipe = _client().pipeline(transaction=True)
    for bar in released:
        entry: Any = {"symbol": bar["symbol"], "timeframe": bar["timeframe"], "bar": json.dumps(bar, default=_text)}
        pipe.xadd(STREAM, entry, id=f"{bar['seq']}-0", maxlen=KEPT, approximate=True)
    pipe.execute()


def _last_sent(noted: int) -> int:
    """Return the ``seq`` of the stream's last entry, or what is noted where the stream is empty."""
    last: Any = _client().xrevrange(STREAM, count=1)
    return int(last[0][0].split("-")[0]) if last else noted


def _text(value: Any) -> str:
    return str(value.isoformat().replace("+00:00", "Z"))


@lru_cache(maxsize=1)
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        get_conf().redis_url, socket_timeout=1.0, socket_connect_timeout=1.0, decode_responses=True
    )
