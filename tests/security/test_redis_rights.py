"""The user of our processes at Valkey: their own keys, and nothing that would harm or read anything else."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from config.stack.launch import Account, child_setup
from config.stack.ports import take_block
from config.stack.valkey import Valkey


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    ports = take_block()
    valkey = Valkey(Path(tmp_path_factory.mktemp("valkey")), ports.base, "password-of-the-owner", "password-of-the-app")
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
