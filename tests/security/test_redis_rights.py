"""The users of our processes at Valkey: each its own keys, and nothing that would harm or read anything else."""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery.contrib.testing.worker import start_worker
from celery.events import EventReceiver
from django.core.cache.backends.redis import RedisCache

from config.celery import app as own_app
from config.celery import settings_for
from config.stack.launch import Account, child_setup
from config.stack.ports import take_block
from config.stack.valkey import USERS, Valkey
from reliability.core.breaker import BreakerSettings
from reliability.core.budget import BudgetPolicy
from reliability.dispatch import bell_key
from reliability.services.circuits import store as circuits
from reliability.services.limits.budget import SharedBudget
from reliability.services.limits.store import LimitStore


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    ports = take_block()
    passwords = {user: f"password-of-{user}" for user in USERS}
    folder = Path(tmp_path_factory.mktemp("valkey"))
    valkey = Valkey(folder, ports.base, "password-of-the-owner", "password-of-the-app", passwords)
    valkey.configure()
    child = subprocess.Popen(
        valkey.argv, stdout=subprocess.DEVNULL, preexec_fn=child_setup(Account.SAME, signal.SIGKILL)
    )
    try:
        _wait(valkey, child)
        yield valkey
    finally:
        child.kill()
        child.wait()
        ports.release()


def _wait(valkey: Valkey, child: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with redis.Redis.from_url(valkey.url) as client:
                client.ping()
                return
        except redis.ConnectionError:
            if child.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@pytest.fixture
def app(server: Valkey) -> Iterator[Any]:
    with redis.Redis.from_url(server.app_url) as client:
        yield client


@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("CONFIG", "GET", "requirepass"),
        ("KEYS", "*"),
        ("SHUTDOWN", "NOSAVE"),
        ("DEBUG", "SLEEP", "1"),
        ("ACL", "LIST"),
        ("ACL", "SETUSER", "eve", "on", "nopass", "+@all"),
        ("REPLICAOF", "192.0.2.1", "6379"),
        ("MODULE", "LOAD", "/tmp/x.so"),
        ("SAVE",),
        ("CLIENT", "LIST"),
        ("CLIENT", "KILL", "TYPE", "normal"),
        ("MONITOR",),
        ("GET", "of-somebody-else"),
        ("SET", "of-somebody-else", "1"),
        ("EVAL", "return redis.call('GET', KEYS[1])", "1", "of-somebody-else"),
        ("EVAL", "return redis.call('FLUSHALL')", "0"),
    ],
    ids=" ".join,
)
def test_what_our_processes_do_not_need_is_denied(app: Any, command: tuple[str, ...]) -> None:
    with pytest.raises(
        (redis.exceptions.NoPermissionError, redis.exceptions.ResponseError), match=r"(?i)permission|not allowed"
    ):
        app.execute_command(*command)


def test_what_our_processes_do_works(app: Any) -> None:
    app.set("stanchion:1:cached", "1", ex=5)
    app.lpush("stanchion:orders", "nudge")
    heard = app.pubsub()
    heard.subscribe("stanchion:circuits:changes")
    app.publish("stanchion:circuits:changes", "x")

    assert app.get("stanchion:1:cached") == b"1"
    assert app.brpop("stanchion:orders", timeout=1)[1] == b"nudge"
    assert app.eval("return redis.call('GET', KEYS[1])", 1, "stanchion:1:cached") == b"1"
    heard.close()


@pytest.fixture
def denials(server: Valkey) -> Iterator[Any]:
    """What the server refused since the test began: the keys, commands and channels by user."""
    with redis.Redis.from_url(server.url, decode_responses=True) as owner:
        owner.acl_log_reset()
        yield lambda: [(entry["username"], entry["reason"], entry["object"]) for entry in owner.acl_log()]


@pytest.fixture
def own_app_afterwards() -> Iterator[None]:
    """Make the app of this installation current again: a worker that a test starts makes its own the default."""
    yield
    own_app.set_current()
    own_app.set_default()


def as_user(server: Valkey, user: str) -> Any:
    return redis.Redis.from_url(server.url_of(f"stanchion_{user}"), socket_timeout=30)


def celery_as(server: Valkey, user: str) -> Celery:
    one = Celery(user, set_as_current=False)
    left_out = ("worker_consumer", "beat_scheduler")  # those of ours need the database
    settings = settings_for(server.url_of(f"stanchion_{user}"))
    one.conf.update({name: value for name, value in settings.items() if name not in left_out})
    return one


def test_what_processes_share_needs_no_more_than_its_user_may(server: Valkey, denials: Any) -> None:
    url = server.url_of("stanchion_state")
    spend, names, values = SharedBudget("rights", BudgetPolicy(), LimitStore("")).spend_command(1)
    cache = RedisCache([url], {"KEY_PREFIX": "stanchion", "VERSION": 2})
    with circuits.connect(url, 30.0) as client:
        create = circuits.Step(
            "x:orders", "create", ("g", circuits.encode_settings(BreakerSettings()), 0, "", "", "", "", 0)
        )
        answers = circuits.run_steps(client, [create, circuits.Step("x:orders", "read", (-1,))], "test")
        assert all(isinstance(answer, circuits.Answer) for answer in answers), answers
        client.sadd(circuits.INDEX, "x:orders")
        assert client.smembers(circuits.INDEX) == {"x:orders"}
        heard: Any = client.pubsub(ignore_subscribe_messages=True)
        heard.subscribe(circuits.CHANNEL, "stanchion:limits:pauses")
        client.publish(circuits.CHANNEL, "x")
        with client.pipeline(transaction=False) as bell:
            bell.lpush(bell_key("orders"), 1).ltrim(bell_key("orders"), 0, 0).expire(bell_key("orders"), 5).execute()
        assert client.blpop([bell_key("orders")], timeout=30) == (bell_key("orders"), "1")
        with client.pipeline(transaction=True) as bars:
            bars.xadd("stanchion:bars", {"bar": "1"}, maxlen=9, approximate=True).execute()
        assert len(client.xrevrange("stanchion:bars", count=1)) == 1
        client.set("stanchion:health", "1", ex=5)
        assert client.register_script(spend)(keys=names, args=values)
        heard.close()
    cache.set("a", 1, 30)
    assert (cache.incr("a"), cache.get_many(["a"]), cache.add("a", 1), cache.delete("a")) == (2, {"a": 2}, False, True)

    assert denials() == []


@pytest.mark.usefixtures("own_app_afterwards")
def test_celery_needs_no_more_than_its_users_may(server: Valkey, denials: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker works and is asked something, a reader hears its events, counts and asks; nothing is refused."""
    monkeypatch.setattr("reliability.tasks.worker.runs_jobs", lambda: False)  # it would run those of later tests
    ours, reader = celery_as(server, "queue"), celery_as(server, "reader")
    done, heard = threading.Event(), []

    @ours.task(name="rights.task", shared=False)
    def work() -> None:
        done.set()

    with start_worker(ours, perform_ping_check=False, pool="solo", loglevel="ERROR", shutdown_timeout=60):
        assert reader.control.inspect(timeout=30, limit=1).ping()
        with reader.connection_for_read() as link:
            receiver = EventReceiver(link, app=reader, handlers={"*": lambda event: heard.append(event["type"])})
            with receiver.consumer_context(wakeup=False) as (connection, _channel, _consumers):
                for _ in range(60):  # the reader listens from its first look on, so what came before goes unheard
                    ours.send_task("rights.task", queue="orders")
                    with suppress(TimeoutError):
                        connection.drain_events(timeout=2)
                    if "task-succeeded" in heard:
                        break
        assert "task-succeeded" in heard
        assert done.is_set()
    ours.send_task("rights.task", queue="alerts")
    with as_user(server, "reader") as client:
        assert client.llen("stanchion:alerts") == 1

    assert denials() == []


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("state", ("LPUSH", "stanchion:orders", "x")),
        ("state", ("LLEN", "stanchion:orders")),
        ("state", ("SMEMBERS", "stanchion:_kombu.binding.stanchion")),
        ("state", ("PUBLISH", "stanchion:/0.celery.pidbox", "{}")),
        ("state", ("EVAL", "return redis.call('LPUSH', KEYS[1], 'x')", "1", "stanchion:orders")),
        ("queue", ("HGETALL", "stanchion:circuit:{x:orders}")),
        ("queue", ("SET", "stanchion:limits:rate:x", "1")),
        ("queue", ("GET", "stanchion:2:cached")),
        ("queue", ("LPUSH", "stanchion:bell:orders", "1")),
        ("queue", ("PUBLISH", "stanchion:circuits:changes", "x")),
        ("queue", ("XADD", "stanchion:bars", "*", "bar", "1")),
        ("reader", ("LPUSH", "stanchion:orders", "x")),
        ("reader", ("RPUSH", "stanchion:orders", "x")),
        ("reader", ("BRPOP", "stanchion:orders", "1")),
        ("reader", ("DEL", "stanchion:orders")),
        ("reader", ("SREM", "stanchion:_kombu.binding.stanchion", "x")),
        ("reader", ("GET", "stanchion:2:cached")),
        ("reader", ("HGET", "stanchion:circuit:{x:orders}", "state")),
        ("reader", ("PUBLISH", "stanchion:circuits:changes", "x")),
        *((user, command) for user in ("state", "queue", "reader") for command in (
            ("FLUSHALL",), ("FLUSHDB",), ("CONFIG", "GET", "*"), ("KEYS", "*"), ("SCAN", "0"), ("SHUTDOWN", "NOSAVE"),
            ("ACL", "LIST"), ("CLIENT", "LIST"), ("MONITOR",), ("SCRIPT", "FLUSH"), ("GET", "of-somebody-else"),
            ("EVAL", "return redis.call('FLUSHALL')", "0"), ("INFO",), ("DBSIZE",), ("RANDOMKEY",),
        )),
    ],
    ids=lambda part: part if isinstance(part, str) else " ".join(part)[:60],
)  # fmt: skip
def test_a_user_is_refused_what_is_of_the_others_or_harms_them(
    server: Valkey, user: str, command: tuple[str, ...]
) -> None:
    with (
        as_user(server, user) as client,
        pytest.raises(redis.exceptions.ResponseError, match=r"(?i)permission|not allowed"),
    ):
        client.execute_command(*command)


@pytest.mark.parametrize("login", ["", ":wrong@", "stanchion:password-of-the-owner@", "eve:password-of-the-app@"])
def test_nobody_gets_in_without_a_login(server: Valkey, login: str) -> None:
    with (
        redis.Redis.from_url(f"redis://{login}127.0.0.1:{server.port}/0") as client,
        pytest.raises((redis.exceptions.AuthenticationError, redis.exceptions.ResponseError)),
    ):
        client.ping()


def test_the_configuration_is_readable_by_its_owner_alone_and_holds_no_password_of_ours(server: Valkey) -> None:
    path = server.data / "valkey.conf"

    assert path.stat().st_mode & 0o077 == 0
    assert "password-of-the-app" not in path.read_text()
    assert "password-of-stanchion" not in path.read_text()
