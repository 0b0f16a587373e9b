"""Pytest plugin: PostgreSQL and Valkey for the tests, started before Django reads its settings.

Loaded by ``-p tests.services``. With DATABASE_URL or REDIS_URL set, that server is used instead.
The servers die with this process, however it ends. Where tests run in several processes (``-n``), each has its own.
"""

import base64
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from config.stack import templates
from config.stack.launch import Account, child_setup, unprivileged_account
from config.stack.ports import take_block
from config.stack.postgres import Postgres, home_for
from config.stack.valkey import Valkey

_STARTED = "STANCHION_TEST_SERVERS"


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Start the servers first: a wrapper runs before pytest-django loads the settings."""
    services = contextlib.ExitStack()
    early_config.add_cleanup(services.close)
    _set_secrets()
    if "PYTEST_XDIST_WORKER" in os.environ:
        for name in os.environ.pop(_STARTED, "").split():
            del os.environ[name]  # the servers of the process that distributes the tests
    if "DATABASE_URL" not in os.environ or "REDIS_URL" not in os.environ:
        services.enter_context(_servers())
    return (yield)


@contextlib.contextmanager
def _servers() -> Iterator[None]:
    folder = Path(tempfile.mkdtemp(prefix="stanchion-tests-"))
    ports = take_block()
    account = unprivileged_account()
    data = home_for(account, folder / "postgres")
    try:
        with contextlib.ExitStack() as running:
            os.environ[_STARTED] = " ".join({"DATABASE_URL", "REDIS_URL"} - set(os.environ))
            if "DATABASE_URL" not in os.environ:
                os.environ["DATABASE_URL"] = running.enter_context(_postgres(data, ports.base, account))
            if "REDIS_URL" not in os.environ:
                os.environ["REDIS_URL"] = running.enter_context(_valkey(folder / "valkey", ports.base + 1))
            yield
    finally:
        ports.release()
        shutil.rmtree(folder)
        shutil.rmtree(data, ignore_errors=True)


@contextlib.contextmanager
def _postgres(data: Path, port: int, account: Account) -> Iterator[str]:
    server = Postgres(data, port, secrets.token_urlsafe(24), account, durable=False)
    templates.create_empty(server)
    server.configure()
    with templates.served(server):
        yield server.url


@contextlib.contextmanager
def _valkey(data: Path, port: int) -> Iterator[str]:
    server = Valkey(data, port, secrets.token_urlsafe(24))
    server.configure()
    setup = child_setup(Account.SAME, signal.SIGKILL)
    child = subprocess.Popen(server.argv, stdout=subprocess.DEVNULL, preexec_fn=setup, start_new_session=True)
    try:
        client = redis.Redis.from_url(server.url)
        deadline = time.monotonic() + 10
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                if time.monotonic() > deadline or child.poll() is not None:
                    raise
                time.sleep(0.02)
        client.close()
        yield server.url
    finally:
        child.kill()
        child.wait()


def _set_secrets() -> None:
    os.environ.setdefault("STANCHION_SECOND_FACTOR", "0")  # tests about it turn it on
    os.environ.setdefault("STANCHION_PRIVATE_BROKERS", "127.0.0.0/8,::1/128")  # the simulated ones are here
    os.environ.setdefault("STANCHION_SECRET_KEY", secrets.token_urlsafe(48))
    os.environ.setdefault("STANCHION_ENCRYPTION_KEY", base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
