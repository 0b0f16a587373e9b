"""Clients behind Redis Sentinel find the master, and the next one after its death; three real sentinels."""

from pathlib import Path

import pytest
import redis
from celery import Celery
from django.core.cache.backends.redis import RedisCache

from config.celery import settings_for
from config.chaos.stack import wait_until
from reliability.redis_client import open_client, pool_class
from tests.redis_sentinel import RedisSentinel, running_sentinels


@pytest.fixture(scope="module")
def sentinels(tmp_path_factory: pytest.TempPathFactory):
    with running_sentinels(tmp_path_factory.mktemp("sentinel")) as servers:
        yield servers


def takes(servers: RedisSentinel, client: "redis.Redis", value: str) -> bool:
    try:
        return bool(client.set("key", value))
    except redis.RedisError:
        return False


def test_a_client_the_cache_and_celery_follow_the_master(sentinels: RedisSentinel, tmp_path: Path) -> None:
    client = open_client(sentinels.url, socket_timeout=0.5, socket_connect_timeout=0.5, decode_responses=True)
    options = {"pool_class": pool_class(sentinels.url), "socket_timeout": 0.5, "socket_connect_timeout": 0.5}
    cache = RedisCache([sentinels.url], {"OPTIONS": options})
    app = Celery("test", set_as_current=False)
    app.conf.update(settings_for(sentinels.url))
    assert client.set("key", "before")
    cache.set("seen", 1)
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=20, interval_start=0.1)
        app.send_task("some.task", queue="orders", connection=connection)
    assert client.connection_pool.get_master_address()[1] == sentinels.master_port()

    sentinels.fail_over()

    wait_until(lambda: takes(sentinels, client, "after"), "a client that lives on writes to the new master")
    assert client.get("key") == "after"
    cache.set("seen", 2)
    assert cache.get("seen") == 2
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=20, interval_start=0.1)
        app.send_task("some.task", queue="orders", connection=connection)
    with redis.Redis(port=sentinels.master_port(), password=sentinels.password) as master:
        assert master.llen("stanchion:orders") >= 1
