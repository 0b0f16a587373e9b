"""An instance: a directory with its data, logs, ports and generated secrets, used by one supervisor at a time."""

import base64
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from config.stack import templates
from config.stack.launch import Account, unprivileged_account
from config.stack.ports import PortBlock, take_block
from config.stack.postgres import Postgres, home_for
from config.stack.valkey import USERS, Valkey

ENV_FILE = "instance.env"
PORT_NAMES = (
    "web", "postgres", "valkey", "simbroker-a", "simbroker-b", "flower", "simbroker-a-backup", "simbroker-b-backup",
    "prometheus", "alertmanager", "chaos-control", "via-postgres", "via-valkey", "via-postgres-2", "via-valkey-2",
    "via-simbroker-a", "via-simbroker-b", "via-simbroker-a-backup", "via-simbroker-b-backup",
)  # fmt: skip
# Only for ``prepare`` and whoever logs in: no other process is handed these.
LOGIN_NAMES = ("STANCHION_ADMIN_USER", "STANCHION_ADMIN_PASSWORD", "STANCHION_API_TOKEN")
FLOWER_LOGIN = "STANCHION_FLOWER_LOGIN"  # for the web process, which shows Flower's pages, and Flower itself
_PORT_BASE = "STANCHION_PORT_BASE"
_DATABASE_PASSWORD, _REDIS_PASSWORD = "STANCHION_DATABASE_PASSWORD", "STANCHION_REDIS_PASSWORD"
_REDIS_USERS = {user: f"{user.upper().replace('STANCHION', 'STANCHION_REDIS')}_PASSWORD" for user in USERS}
BROKER_URL = "STANCHION_BROKER_URL"
_GENERATED: dict[str, Callable[[], str]] = {
    "STANCHION_SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "STANCHION_ENCRYPTION_KEY": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    "STANCHION_ADMIN_USER": lambda: "admin",
    "STANCHION_ADMIN_PASSWORD": lambda: secrets.token_urlsafe(15),
    "STANCHION_API_TOKEN": lambda: f"st_{secrets.token_hex(32)}",
    "STANCHION_SIM_API_KEY": lambda: f"SIM{secrets.token_hex(8).upper()}",
    "STANCHION_SIM_API_SECRET": lambda: secrets.token_urlsafe(32),
    FLOWER_LOGIN: lambda: f"stanchion:{secrets.token_urlsafe(24)}",
    _DATABASE_PASSWORD: lambda: secrets.token_urlsafe(24),
    _REDIS_PASSWORD: lambda: secrets.token_urlsafe(24),
    **{name: lambda: secrets.token_urlsafe(24) for name in _REDIS_USERS.values()},
}


class InstanceInUseError(Exception):
    """Another supervisor runs in this directory."""


@dataclass
class Instance:
    """One instance while it is open. ``values`` are its secrets, kept in ``instance.env`` between runs."""

    directory: Path
    ports: dict[str, int]
    values: dict[str, str]
    account: Account
    _block: PortBlock = field(repr=False)
    _lock: int = field(repr=False)

    @property
    def name(self) -> str:
        return self.directory.name

    @cached_property
    def postgres(self) -> Postgres | None:
        """The embedded server, unless DATABASE_URL names another one."""
        if os.environ.get("DATABASE_URL"):
            return None
        data = home_for(self.account, self.directory / "postgres")
        return Postgres(data, self.ports["postgres"], self.values[_DATABASE_PASSWORD], self.account)

    @cached_property
    def valkey(self) -> Valkey | None:
        """The embedded server, unless REDIS_URL names another one."""
        if os.environ.get("REDIS_URL"):
            return None
        passwords = {user: self.values[name] for user, name in _REDIS_USERS.items()}
        directory, owner = self.directory / "valkey", self.values[_REDIS_PASSWORD]
        return Valkey(directory, self.ports["valkey"], owner, passwords=passwords)

    @property
    def urls(self) -> dict[str, str]:
        """Addresses for a person or a test; none holds a password."""
        web = f"http://127.0.0.1:{self.ports['web']}"
        names = [name for name in PORT_NAMES if name.startswith("simbroker")]
        simulators = {name: f"http://127.0.0.1:{self.ports[name]}" for name in names}
        pages = {"web": web, "admin": f"{web}/admin/", "api": f"{web}/api/v1/docs/", "flower": f"{web}/flower/"}
        return {**pages, **simulators}

    @property
    def environment(self) -> dict[str, str]:
        """What every Python process of the instance gets, besides the environment we were started with."""
        urls = self.urls
        login = (*LOGIN_NAMES, FLOWER_LOGIN, _DATABASE_PASSWORD, _REDIS_PASSWORD, *_REDIS_USERS.values())
        return {
            **{name: value for name, value in self.values.items() if name not in login},
            "DATABASE_URL": self.postgres.url if self.postgres else os.environ["DATABASE_URL"],
            "REDIS_URL": self.valkey.url if self.valkey else os.environ["REDIS_URL"],
            "STANCHION_ALLOWED_HOSTS": os.environ.get("STANCHION_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]"),
            "STANCHION_PORT": str(self.ports["web"]),
            "STANCHION_FLOWER_URL": f"http://127.0.0.1:{self.ports['flower']}",
            "STANCHION_SIM_A_URL": urls["simbroker-a"],
            "STANCHION_SIM_B_URL": urls["simbroker-b"],
            "STANCHION_SIM_A_BACKUP_URL": urls["simbroker-a-backup"],
            "STANCHION_SIM_B_BACKUP_URL": urls["simbroker-b-backup"],
            "STANCHION_INSTANCE": self.name,
            "STANCHION_EXPORT_DIR": os.environ.get("STANCHION_EXPORT_DIR") or str(self.directory / "exports"),
            "STANCHION_PRIVATE_BROKERS": os.environ.get("STANCHION_PRIVATE_BROKERS", "127.0.0.0/8,::1/128"),
            # On one machine, on loopback and with generated passwords; set it to 1 to have it here, too.
            "STANCHION_SIM_FEEDS": os.environ.get("STANCHION_SIM_FEEDS", "1"),
            "STANCHION_SECOND_FACTOR": os.environ.get("STANCHION_SECOND_FACTOR", "0"),
        }

    @property
    def login(self) -> dict[str, str]:
        return {name: self.values[name] for name in LOGIN_NAMES}

    @property
    def schema_is_current(self) -> bool:
        marker = self.directory / "schema"
        return self.postgres is not None and marker.exists() and marker.read_text() == templates.schema_fingerprint()

    def mark_schema_current(self) -> None:
        (self.directory / "schema").write_text(templates.schema_fingerprint())

    def write_environment(self) -> None:
        """Write ``instance.env``: secrets, addresses and ports, readable by the owner alone."""
        text = {**self.values, **self.environment, _PORT_BASE: str(self._block.base)}
        path = self.directory / ENV_FILE
        temporary = path.with_suffix(".new")
        temporary.touch(mode=0o600)
        temporary.write_text("".join(f"{name}={value}\n" for name, value in text.items()))
        temporary.replace(path)

    def close(self) -> None:
        self._block.release()
        os.close(self._lock)


def open_instance(directory: Path) -> Instance:
    """Lock an instance directory, made if it is missing, with its own ports and secrets.

    Secrets set in our own environment win over generated ones.

    Raises:
        InstanceInUseError: somebody else runs there.
    """
    directory = directory.resolve()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(directory / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise InstanceInUseError(f"{directory} is in use by a running instance") from None
    kept = read_environment_file(directory / ENV_FILE)
    values = {name: os.environ.get(name) or kept.get(name) or make() for name, make in _GENERATED.items()}
    for name in (_DATABASE_PASSWORD, _REDIS_PASSWORD, *_REDIS_USERS.values()):
        values[name] = kept.get(name) or values[name]
    block = take_block(int(kept[_PORT_BASE]) if _PORT_BASE in kept else None)
    ports = {name: block.base + offset for offset, name in enumerate(PORT_NAMES)}
    shutil.rmtree(directory / "tmp", ignore_errors=True)  # what killed processes of the last run left
    instance = Instance(directory, ports, values, unprivileged_account(), block, lock)
    instance.write_environment()
    return instance


def is_in_use(directory: Path) -> bool:
    """Tell whether a supervisor holds the directory now."""
    lock = os.open(directory / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def read_environment_file(path: Path) -> dict[str, str]:
    """Return the variables of an ``instance.env``, or none when there is no such file."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: value for name, separator, value in (line.partition("=") for line in lines) if separator}


def process_environment(instance: Instance, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the whole environment of a Python process of the instance.

    Temporary files go into the instance, because a killed process leaves its own behind.
    Compiled files are written even where the environment forbids it: they halve the start-up.
    """
    left_out = (*LOGIN_NAMES, FLOWER_LOGIN, "PYTHONDONTWRITEBYTECODE")
    inherited = {name: value for name, value in os.environ.items() if name not in left_out}
    temporary = instance.directory / "tmp"
    temporary.mkdir(mode=0o700, exist_ok=True)
    fixed = {
        "TMPDIR": str(temporary),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
    }
    inherited.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    environment = {**inherited, **fixed, **instance.environment}
    if instance.valkey:
        # What reads the instance's own file runs the servers; our processes get users that may only do their work.
        environment["REDIS_URL"] = instance.valkey.url_of("stanchion_state")
        environment[BROKER_URL] = environment.get(BROKER_URL) or instance.valkey.url_of("stanchion_queue")
    return {**environment, **(extra or {})}


def reading_environment(instance: Instance, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that only looks at queues, as Flower does."""
    if not instance.valkey or environment[BROKER_URL] != instance.valkey.url_of("stanchion_queue"):
        return {**environment}
    reader = instance.valkey.url_of("stanchion_reader")
    return {**environment, "REDIS_URL": reader, BROKER_URL: reader}


def remove(directory: Path) -> None:
    """Delete an instance that does not run, with data that had to lie elsewhere."""
    shutil.rmtree(home_for(unprivileged_account(), directory / "postgres"), ignore_errors=True)
    shutil.rmtree(directory, ignore_errors=True)
