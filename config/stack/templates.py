"""Prepared PostgreSQL data directories, kept in ``.stanchion`` and copied instead of made again.

``base`` is a fresh ``initdb`` with an empty database; ``migrated`` has every migration applied.
A template is named after everything it was made from, so a stale one is never used, and it holds
no password: each copy gets its own.
"""

import contextlib
import fcntl
import hashlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

from config.stack import postgres
from config.stack.launch import Account, child_setup
from config.stack.postgres import Postgres

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".stanchion"
Builder = Callable[[Path], None]
_FORMAT = "1"  # raise it when the way templates are made changes


def schema_fingerprint() -> str:
    """Return a digest of what decides the schema: migrations, locked packages, PostgreSQL, this file's format."""
    digest = hashlib.sha256(f"{_FORMAT} {postgres.version()}".encode())
    for path in (ROOT / "requirements" / "run.lock", *sorted(ROOT.glob("*/migrations/*.py"))):
        digest.update(str(path.relative_to(ROOT)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def create_empty(server: Postgres) -> None:
    """Make the server's data directory from the base template."""
    key = f"{_FORMAT}-{postgres.version()}"
    with _template("base", key, lambda data: postgres.initialise(data, server.account), server.account) as template:
        server.create_from(template)


def create_migrated(server: Postgres, environment: Mapping[str, str]) -> None:
    """Make the server's data directory from the migrated template.

    Args:
        server: The server that will use the data.
        environment: What ``manage.py migrate`` needs; its DATABASE_URL is replaced.
    """

    def build(data: Path) -> None:
        temporary = Postgres(data, server.port, server.password, server.account, durable=False)
        create_empty(temporary)
        temporary.configure()
        with served(temporary):
            migrate({**environment, "DATABASE_URL": temporary.url})

    with _template("migrated", schema_fingerprint(), build, server.account) as template:
        server.create_from(template)


def migrate(environment: Mapping[str, str]) -> None:
    """Apply all migrations; raise with their output when one fails."""
    argv = [sys.executable, "manage.py", "migrate", "--noinput"]
    done = subprocess.run(argv, cwd=ROOT, env=dict(environment), capture_output=True, text=True)
    if done.returncode:
        raise postgres.PostgresError(f"manage.py migrate failed:\n{(done.stdout + done.stderr).strip()}")


@contextlib.contextmanager
def served(server: Postgres) -> Iterator[subprocess.Popen[bytes]]:
    """Run the server until the block ends. Call it from the main thread."""
    with tempfile.TemporaryFile("w+") as log:
        child = subprocess.Popen(
            server.argv,
            env=postgres.clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=child_setup(server.account, signal.SIGINT),
            start_new_session=True,
        )
        try:
            _wait_until_answering(server, child, log)
            yield child
        finally:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(timeout=5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _wait_until_answering(server: Postgres, child: subprocess.Popen[bytes], log: IO[str]) -> None:
    argv = [str(postgres.program("pg_isready", server.account)), "-q", "-h", "127.0.0.1", "-p", str(server.port)]
    deadline = time.monotonic() + 30
    while subprocess.run(argv, env=postgres.clean_environment()).returncode:
        if child.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            raise postgres.PostgresError(f"PostgreSQL did not start:\n{log.read()[-2000:]}")
        time.sleep(0.02)


@contextlib.contextmanager
def _template(kind: str, key: str, build: Builder, account: Account) -> Iterator[Path]:
    """Yield the template, built first if it is not there; nobody removes it meanwhile."""
    CACHE.mkdir(mode=0o700, exist_ok=True)
    with (CACHE / f"template-{kind}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        template = CACHE / f"template-{kind}-{key}"
        if not template.exists():
            for old in CACHE.glob(f"template-{kind}-*"):
                shutil.rmtree(old)
            _build(build, template, account)
        yield template


def _build(build: Builder, template: Path, account: Account) -> None:
    """Build beside the template, or where the account can reach it, and put it in place in one step."""
    with tempfile.TemporaryDirectory(prefix="building-", dir=template.parent) as folder:
        place = postgres.home_for(account, Path(folder) / "data")
        place.parent.mkdir(mode=0o755, exist_ok=True)
        try:
            build(place)
            finished = Path(folder) / "finished"
            shutil.move(place, finished)
            finished.rename(template)
        finally:
            shutil.rmtree(place, ignore_errors=True)
