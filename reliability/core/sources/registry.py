"""The sources that every installation has, whatever its brokers."""

from collections.abc import Mapping

from reliability.core.rules import Resolver
from reliability.core.sources import http, own, postgres, redis, websocket
from reliability.core.sources.classes import resolver_of
from reliability.core.sources.http_clients import AIOHTTP, HTTPX, REQUESTS, URLLIB3
from reliability.core.sources.python import PYTHON
from reliability.core.sources.queue import QUEUE


def generic_resolvers() -> Mapping[str, Resolver]:
    """Return the resolvers of all generic sources."""
    queue = resolver_of(QUEUE)
    return {
        http.SOURCE: http.resolve_http,
        "requests": resolver_of(REQUESTS),
        "httpx": resolver_of(HTTPX),
        "urllib3": resolver_of(URLLIB3),
        "aiohttp": resolver_of(AIOHTTP),
        "websockets": websocket.resolve_websocket,
        "websocket": websocket.resolve_websocket,
        postgres.SOURCE: postgres.resolve_postgres,
        redis.SOURCE: redis.resolve_redis,
        "celery": queue,
        "kombu": queue,
        "amqp": queue,
        "python": resolver_of(PYTHON),
        own.SOURCE: own.resolve_own,
    }
