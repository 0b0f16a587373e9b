"""What REDIS_URL names: one server, or a master that Redis Sentinel knows.

``sentinel://user:password@one:26379,two:26379,three:26379/0?master=NAME`` names the sentinels, and the master by
the name it has with them. User and password are the master's; ``sentinel_user`` and ``sentinel_password`` are those of
the sentinels, where they have any.
"""

from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlsplit

SCHEME = "sentinel"
DEFAULT_PORT = 26379
_PARAMETERS = frozenset({"master", "sentinel_user", "sentinel_password"})
_SHAPE = "use sentinel://user:password@host:26379,host:26379/0?master=NAME"


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """The sentinels by host and port, the master's name, and how to log in at both; blank where there is none."""

    sentinels: tuple[tuple[str, int], ...]
    master: str
    username: str = ""
    password: str = ""
    database: int = 0
    sentinel_username: str = ""
    sentinel_password: str = ""

    def celery_url(self) -> str:
        """Return the addresses as Celery's transport wants them: one per sentinel, with semicolons between."""
        login = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@" if self.password else ""
        return ";".join(f"{SCHEME}://{login}{_host(host)}:{port}/{self.database}" for host, port in self.sentinels)

    def sentinel_login(self) -> dict[str, str]:
        """Return what a client of the sentinels themselves needs to log in."""
        login = {"username": self.sentinel_username, "password": self.sentinel_password}
        return {name: value for name, value in login.items() if value}


def is_sentinel(url: str) -> bool:
    return urlsplit(url).scheme == SCHEME


def parse_sentinel(text: str) -> SentinelAddress:
    """Return what a ``sentinel://`` address says.

    Raises:
        ValueError: It is no such address; the message says what one looks like.
    """
    url = urlsplit(text)
    login, _, hosts = url.netloc.rpartition("@")
    username, _, password = login.partition(":")
    values = parse_qs(url.query)
    if url.scheme != SCHEME or not hosts or len(values.get("master", ())) != 1 or set(values) - _PARAMETERS:
        raise ValueError(_SHAPE)
    database = url.path.strip("/") or "0"
    if not database.isdecimal():
        raise ValueError(_SHAPE)
    return SentinelAddress(
        sentinels=tuple(_sentinel(one) for one in hosts.split(",")),
        master=values["master"][0],
        username=unquote(username),
        password=unquote(password),
        database=int(database),
        sentinel_username=values.get("sentinel_user", [""])[0],
        sentinel_password=values.get("sentinel_password", [""])[0],
    )


def _sentinel(text: str) -> tuple[str, int]:
    one = urlsplit(f"//{text}")
    if not one.hostname:
        raise ValueError(_SHAPE)
    return one.hostname, one.port or DEFAULT_PORT


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
