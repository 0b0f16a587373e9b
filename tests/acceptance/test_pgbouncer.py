"""Orders through PgBouncer in session mode; skipped where it is not installed (a Debian package)."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
import pytest

from config.chaos.stack import running_stack, wait_until
from config.chaos.strikes import kill, kill_child, moments
from config.chaos.trial import Strike, draws, run_trial
from config.stack.launch import Account, child_setup
from config.stack.ports import take_block
from config.stack.running import running_instance
from config.stack.serve import Scope

PROGRAM = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer (a Debian package) is not installed")
# What its processes ask for when they connect, which PgBouncer does not pass on: docs/explanation/scaling.md.
_SESSION_SETTINGS = {"statement_timeout": "15s", "idle_in_transaction_session_timeout": "10s", "timezone": "UTC"}


@contextmanager
def pgbouncer(database_url: str, directory: Path, mode: str = "session") -> Iterator[str]:
    """Run PgBouncer in front of a server, in a mode of its own, and yield the address through it."""
    server, block = urlsplit(database_url), take_block(None)
    user, password = unquote(server.username or ""), unquote(server.password or "")
    (directory / "users").write_text(f'"{user}" "{password}"\n')
    (directory / "pgbouncer.ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {block.base}\nunix_socket_dir =\nauth_type = plain\nauth_file = {directory / 'users'}\n"
        f"pool_mode = {mode}\ndefault_pool_size = 90\nmax_client_conn = 300\n"
        "ignore_startup_parameters = extra_float_digits,options\n"
    )
    shutil.chown(directory, "nobody") if os.geteuid() == 0 else None
    with (directory / "log").open("wb") as log:
        child = subprocess.Popen(
            [str(PROGRAM), *(["-u", "nobody"] if os.geteuid() == 0 else []), str(directory / "pgbouncer.ini")],
            stdout=log,
            stderr=log,
            preexec_fn=child_setup(Account.SAME, signal.SIGKILL),
        )
    try:
        url = server._replace(netloc=f"{server.netloc.rpartition('@')[0]}@127.0.0.1:{block.base}").geturl()
        wait_until(lambda: _answers(url), "PgBouncer answers")
        yield url
    finally:
        child.kill()
        child.wait()
        block.release()


def _answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False


@pytest.fixture(scope="module")
def pooled_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = Path("/tmp") / f"stanchion-pgbouncer-{secrets.token_hex(4)}"  # another account reads it
    directory.mkdir(mode=0o755)
    own = {"DATABASE_URL": "", "REDIS_URL": ""}
    try:
        with running_instance(scope=Scope.SERVICES, environment=own) as servers:
            direct = servers.env["DATABASE_URL"]
            with psycopg.connect(direct, autocommit=True) as connection:
                for name, value in _SESSION_SETTINGS.items():
                    connection.execute(f"ALTER ROLE CURRENT_USER SET {name} = '{value}'")
            with pgbouncer(direct, directory) as url:
                yield url
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def test_workers_die_behind_pgbouncer(pooled_url: str) -> None:
    name = "PgBouncer in session mode: workers killed"
    with running_stack({"DATABASE_URL": pooled_url}) as stack:
        assert stack.query("SHOW statement_timeout") == [("15s",)]
        chance = draws(name)
        strikes = [
            Strike(share, "kill -9 a pool process", kill_child(stack, "worker-orders", chance))
            for share in moments(chance, 2)
        ]
        strikes.append(Strike(chance.random(), "kill -9 the order worker", kill(stack, "worker-orders")))
        run_trial(stack, name, strikes).require_clean()


def test_transaction_mode_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = Path("/tmp") / f"stanchion-pgbouncer-{secrets.token_hex(4)}"
    directory.mkdir(mode=0o755)
    try:
        with running_instance(scope=Scope.SERVICES, environment={"DATABASE_URL": "", "REDIS_URL": ""}) as servers:
            direct = servers.env["DATABASE_URL"]
            with pgbouncer(direct, directory, "transaction") as pooled:
                told = {url: _check(servers.environment | {"DATABASE_URL": url}) for url in (direct, pooled)}
    finally:
        shutil.rmtree(directory, ignore_errors=True)

    assert "stanchion.E001" not in told[direct]
    assert "stanchion.E001" in told[pooled]


def _check(environment: dict[str, str]) -> str:
    argv = [sys.executable, "manage.py", "check", "--database", "default"]
    env = {"DJANGO_SETTINGS_MODULE": "config.settings", **environment}
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False).stderr
