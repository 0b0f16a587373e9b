"""Servers that everything depends on: their failure is one incident, and explains much of what follows from it."""

import time

import redis
from django.db import transaction

from reliability.conf import get_conf
from reliability.services.alert_thresholds import read_thresholds
from reliability.services.alerting import Raising, follow_condition, raise_alert, resolve_alert
from reliability.services.circuits.store import connect

_PING_SECONDS = 0.5

_redis_away_since = [0.0]


def tell_away(condition: str, scope: str, name: str, seconds: float) -> None:
    """Tell that a server was away and is back: its alert ends once it has answered for its hold-down."""
    if seconds <= read_thresholds(condition)["away_seconds"]:
        return
    with transaction.atomic():
        text = f"{name} did not answer for {seconds:.1f} seconds."
        raise_alert(condition, scope, message=text, details={"away_seconds": round(seconds, 1)})
        resolve_alert(condition, scope, reason="it answers again")


def check_redis() -> None:
    """Redis is away once it has not answered for longer than a moment; without one there is nothing to ask."""
    address, now = get_conf().redis_url, time.monotonic()
    if not address:
        return
    problem = _ping(address)
    since = _redis_away_since[0] = (_redis_away_since[0] or now) if problem else 0.0
    is_away = bool(problem) and time.monotonic() - since > read_thresholds("redis.away")["away_seconds"]
    if problem and not is_away:
        return  # neither there nor away yet
    present = [Raising("redis.away", "platform:redis", f"Redis does not answer: {problem}"[:500])] if is_away else []
    follow_condition("redis.away", present, reason="it answers again")


def _ping(address: str) -> str:
    """Return what went wrong, or an empty string."""
    try:
        with connect(address, _PING_SECONDS) as client:
            client.ping()
    except (redis.RedisError, OSError) as error:
        return str(error)[:300] or type(error).__name__
    return ""
