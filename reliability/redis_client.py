"""Clients of Redis: of one server, or of whichever server Redis Sentinel says is the master now."""

from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from reliability.core.redis_address import is_sentinel, parse_sentinel

_SENTINEL_SECONDS = 0.5


def open_client(url: str, **options: Any) -> "redis.Redis":
    """Return a client of its own without retries: a caller that has to wait decides so itself.

    ``options`` are redis-py's own. Behind Sentinel a connection that broke is made anew to the master of that moment.
    """
    options = {"retry": Retry(NoBackoff(), 0), **options}
    if not is_sentinel(url):
        return redis.Redis.from_url(url, **options)
    return redis.Redis.from_pool(MasterPool.from_url(url, **options))


class MasterPool(SentinelConnectionPool):
    """Connections to the master that the sentinels of a ``sentinel://`` address name; Django makes it by URL."""

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        address = parse_sentinel(url)
        seconds = options.get("socket_connect_timeout") or _SENTINEL_SECONDS
        sentinels = Sentinel(
            address.sentinels,
            sentinel_kwargs={
                "socket_timeout": seconds,
                "socket_connect_timeout": seconds,
                "retry": Retry(NoBackoff(), 0),
                **address.sentinel_login(),
            },
        )
        login = {"username": address.username or None, "password": address.password or None}
        return cls(address.master, sentinels, db=address.database, **login, **options)


def pool_class(url: str) -> type[ConnectionPool]:
    """Return the pool for connections to an address; both kinds are made by ``from_url``."""
    return MasterPool if is_sentinel(url) else ConnectionPool
