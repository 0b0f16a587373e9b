"""PostgreSQL and Valkey from their wheels, under the supervisor."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import redis

from config.stack import templates
from config.stack.control import ControlError
from config.stack.launch import Account
from config.stack.ports import take_block
from config.stack.postgres import Postgres, home_for
from config.stack.running import RunningInstance, running_instance
from config.stack.serve import Scope
from tests.config.stack.conftest import is_alive

OWN_SERVERS = {"DATABASE_URL": "", "REDIS_URL": ""}


def acknowledged_after_kill(instance: RunningInstance, kill: str) -> tuple[int, int]:
    """Insert until the connection breaks; return what was acknowledged, and what is there once the server is back."""
    url = instance.env["DATABASE_URL"]
    table = f"kept_{secrets.token_hex(4)}"
    pid = instance.control.process("postgres")["pid"]
    acknowledged = insert_until_broken(url, table, lambda: os.kill(pid, signal.Signals[kill]))
    instance.control.wait("postgres", lambda entry: entry["ready"] and entry["pid"] != pid)
    with psycopg.connect(url) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row
    return acknowledged, row[0]


def insert_until_broken(url: str, table: str, break_it: Callable[[], None]) -> int:
    """Insert rows one by one, break the server after 50, and go on until that shows."""
    acknowledged = 0
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {table} (id int)")
        while True:
            try:
                connection.execute(f"INSERT INTO {table} VALUES (1)")
            except psycopg.OperationalError:
                return acknowledged
            acknowledged += 1
            if acknowledged == 50:
                break_it()


@pytest.mark.parametrize("kill", ["SIGKILL", "SIGQUIT"])
def test_postgres_returns_from_a_crash_with_every_acknowledged_row(services, kill):
    acknowledged, found = acknowledged_after_kill(services, kill)

    assert found >= acknowledged >= 50


def test_an_immediate_stop_holds_until_started_and_keeps_the_rows(services):
    url = services.env["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS stopped AS SELECT 1 AS id")

    services.control.stop("postgres", "SIGQUIT")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    services.control.start("postgres")

    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT id FROM stopped").fetchone() == (1,)


def test_wiping_valkey_loses_its_data_and_killing_it_does_not(services):
    client = redis.Redis.from_url(services.env["REDIS_URL"])
    client.set("kept", "1")
    client.waitaof(1, 0, 0)
    pid = services.control.process("valkey")["pid"]

    services.control.kill("valkey")
    services.control.wait("valkey", lambda entry: entry["ready"] and entry["pid"] != pid)
    assert client.get("kept") == b"1"

    services.control.wipe("valkey")
    assert client.get("kept") is None


def test_durability_is_on_and_passwords_are_asked_for(services):
    with psycopg.connect(services.env["DATABASE_URL"]) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)
    port = services.state()["ports"]["postgres"]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://stanchion:wrong@127.0.0.1:{port}/stanchion")
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=services.state()["ports"]["valkey"], retry=None).ping()


def test_secrets_are_readable_by_the_owner_alone_and_not_in_the_state_or_the_process_list(services):
    assert (services.directory / "instance.env").stat().st_mode & 0o777 == 0o600
    assert services.directory.stat().st_mode & 0o777 == 0o700
    state = (services.directory / "state.json").read_text()
    listed = subprocess.check_output(["ps", "-eo", "args"], text=True)  # every process on the machine
    for name, value in services.env.items():
        if "PASSWORD" in name or "SECRET" in name or "TOKEN" in name or "KEY" in name:
            assert value not in state
            assert value not in listed


def test_two_instances_side_by_side_have_their_own_ports_and_leave_nothing(services):
    with running_instance(scope=Scope.SERVICES, environment=OWN_SERVERS) as other:
        pids = [entry["pid"] for entry in other.state()["processes"].values()]
        assert set(other.state()["ports"].values()).isdisjoint(services.state()["ports"].values())
        with psycopg.connect(other.env["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(other.env["DATABASE_URL"].replace(*ports_of(other, services)))

    assert not other.directory.exists()
    assert not [pid for pid in pids if is_alive(pid)]


def ports_of(one: RunningInstance, other: RunningInstance) -> tuple[str, str]:
    return str(one.state()["ports"]["postgres"]), str(other.state()["ports"]["postgres"])


def test_the_same_directory_keeps_its_data_and_passwords_between_runs(tmp_path: Path):
    options = {"temporary": False, "directory": tmp_path / "kept", "scope": Scope.SERVICES, "environment": OWN_SERVERS}
    with running_instance(**options) as first:
        redis.Redis.from_url(first.env["REDIS_URL"]).set("kept", "1")
        with psycopg.connect(first.env["DATABASE_URL"]) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS id")

    with running_instance(**options) as second:
        assert second.env["STANCHION_ENCRYPTION_KEY"] == first.env["STANCHION_ENCRYPTION_KEY"]
        assert redis.Redis.from_url(second.env["REDIS_URL"]).get("kept") == b"1"
        with psycopg.connect(second.env["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT id FROM kept").fetchone() == (7,)


def test_a_server_named_in_the_environment_is_used_instead(services):
    own = {"DATABASE_URL": services.env["DATABASE_URL"], "REDIS_URL": ""}
    with running_instance(scope=Scope.SERVICES, environment=own) as other:
        assert list(other.state()["processes"]) == ["valkey"]
        assert other.env["DATABASE_URL"] == services.env["DATABASE_URL"]


def test_an_instance_ends_when_whoever_started_it_is_gone(tmp_path: Path):
    with running_instance(directory=tmp_path / "a", scope=Scope.SERVICES, environment=OWN_SERVERS) as instance:
        assert instance.supervisor.stdin is not None
        instance.supervisor.stdin.close()
        assert instance.supervisor.wait(60) == 0
        with pytest.raises(ControlError):
            instance.control.kill("postgres")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change to another account")
def test_postgres_runs_as_nobody_where_root_has_no_user_namespaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("config.stack.templates.CACHE", tmp_path)
    block = take_block()
    data = home_for(Account.NOBODY, tmp_path / "postgres")
    server = Postgres(data, block.base, secrets.token_urlsafe(8), Account.NOBODY, durable=False)
    try:
        templates.create_empty(server)
        server.configure()
        with templates.served(server) as child, psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert f"Uid:\t{65534}" in Path(f"/proc/{child.pid}/status").read_text()
    finally:
        block.release()
        shutil.rmtree(data, ignore_errors=True)
