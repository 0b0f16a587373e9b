"""What nothing can be cheaper than: a plain call, and one trip to Redis."""

from collections.abc import Iterator

import redis

from benchmarks.resilience.loops import (
    BrokenError,
    Case,
    Loop,
    fail,
    fail_async,
    ok,
    ok_async,
    passing,
    passing_async,
    raising,
    raising_async,
)

SECTION = "floor"
PLAIN, PLAIN_ASYNC = "plain call", "plain coroutine"


def cases(url: str) -> Iterator[Case]:
    yield Case(SECTION, PLAIN, "admitted", lambda: passing(ok))
    yield Case(SECTION, PLAIN, "failed", lambda: raising(fail, BrokenError))
    yield Case(SECTION, PLAIN_ASYNC, "admitted", lambda: passing_async(ok_async))
    yield Case(SECTION, PLAIN_ASYNC, "failed", lambda: raising_async(fail_async, BrokenError))
    yield Case(SECTION, "one script in Redis", "admitted", lambda: _script(url))


def _script(url: str) -> Loop:
    client = redis.Redis.from_url(url)
    digest = client.script_load("return 1")
    return passing(lambda: client.evalsha(digest, 0))
