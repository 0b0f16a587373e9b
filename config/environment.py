"""The environment, read once and checked: every variable Stanchion knows is declared here."""

import base64
import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from reliability.core.redis_address import is_sentinel, parse_sentinel

DEFAULT_RELEASE = "0.1.0"  # as pyproject.toml has it
RELEASE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable: its name, how its text is read, its default, and what it is for.

    ``default`` None means that it must be set.
    """

    name: str
    parse: Callable[[str], Any]
    default: str | None
    purpose: str


def _flag(text: str) -> bool:
    if text.lower() in {"1", "true", "yes", "on"}:
        return True
    if text.lower() in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError("use 1 or 0")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _networks(text: str) -> list[str]:
    return [str(ipaddress.ip_network(word)) for word in _words(text)]


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 1e9:
        raise ValueError("must be a number greater than 0 and less than a thousand million")
    return number


def _database(text: str) -> dict[str, Any]:
    url = urlsplit(text)
    if url.scheme not in {"postgres", "postgresql"} or not url.path.strip("/"):
        raise ValueError("use postgresql://user:password@host:port/database")
    if url.query:
        raise ValueError("parameters after ? are not read; set PGSSLMODE and its kin in the environment instead")
    return {
        "NAME": unquote(url.path.lstrip("/")),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": unquote(url.hostname or ""),
        "PORT": str(url.port or 5432),
    }


def _message_broker(text: str) -> str:
    if is_sentinel(text):
        return _sentinel(text)
    if urlsplit(text).scheme not in {"redis", "rediss", "unix", "amqp", "amqps", "memory"}:
        raise ValueError("use redis://, rediss://, sentinel://, amqp:// or amqps://")
    return text


def _redis(text: str) -> str:
    if is_sentinel(text):
        return _sentinel(text)
    if urlsplit(text).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("use redis://user:password@host:port/0, or sentinel:// with the name of the master")
    return text


def _sentinel(text: str) -> str:
    parse_sentinel(text)
    return text


def _web_address(text: str) -> str:
    if urlsplit(text).scheme not in {"http", "https"} or not urlsplit(text).hostname:
        raise ValueError("use http:// or https://")
    return text


def _release(text: str) -> str:
    if not RELEASE_NAME.fullmatch(text):
        raise ValueError("use up to 64 letters, digits and . _ + -")
    return text


def _traces(text: str) -> str:
    return text if text == "console" else _web_address(text)


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        raise ValueError("use a number above 0 and at most 1")
    return share


def _secret(text: str) -> str:
    if len(text) < 32:
        raise ValueError("must be at least 32 characters")
    return text


def _fernet_keys(text: str) -> list[str]:
    keys = _words(text)
    try:
        valid = [len(base64.urlsafe_b64decode(key)) == 32 for key in keys]
    except ValueError:
        valid = []
    if not valid or not all(valid):
        raise ValueError("use keys of 32 bytes in URL-safe base64, comma separated")
    return keys


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise ValueError("use a whole number from 1 to 10000")
    return int(text)


def _number_from_zero(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 10:
        raise ValueError("use a whole number from 0 to 10")
    return int(text)


def _level(text: str) -> str:
    if text.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise ValueError("use DEBUG, INFO, WARNING or ERROR")
    return text.upper()


VARIABLES = (
    Variable("DATABASE_URL", _database, None, "PostgreSQL 15 or newer"),
    Variable(
        "REDIS_URL",
        _redis,
        None,
        "Redis or Valkey 6.2 or newer: cache, and broker of messages by default; behind Sentinel "
        "`sentinel://user:password@host:26379,host:26379/0?master=NAME`",
    ),
    Variable(
        "STANCHION_BROKER_URL",
        _message_broker,
        "",
        "Celery's broker of messages, redis://, sentinel:// or amqp://; default REDIS_URL",
    ),
    Variable("STANCHION_SECRET_KEY", _secret, None, "signs sessions; at least 32 random characters"),
    Variable(
        "STANCHION_ENCRYPTION_KEY",
        _fernet_keys,
        None,
        "Fernet keys for broker credentials, newest first, comma separated",
    ),
    Variable("STANCHION_ALLOWED_HOSTS", _words, "127.0.0.1,localhost,[::1]", "host names the web process answers to"),
    Variable("STANCHION_TRUSTED_ORIGINS", _words, "", "origins (scheme://host) allowed to post forms, behind a proxy"),
    Variable("STANCHION_HTTPS", _flag, "0", "1 where TLS ends in front: secure cookies, HSTS, redirect"),
    Variable(
        "STANCHION_SECOND_FACTOR",
        _flag,
        "1",
        "0 lets people in with a password alone; only where nobody else reaches the machine",
    ),
    Variable(
        "STANCHION_TRUSTED_PROXIES",
        _number_from_zero,
        "0",
        "proxies of your own in front, each adding to X-Forwarded-For; wrong passwords are counted by the address before them",
    ),
    Variable("STANCHION_DEBUG", _flag, "0", "1 shows tracebacks in the browser; never in production"),
    Variable("STANCHION_LOG_LEVEL", _level, "INFO", "least level that is logged"),
    Variable("STANCHION_LOG_JSON", _flag, "1", "0 writes readable lines instead of JSON"),
    Variable("STANCHION_INSTANCE", str, "", "name of this installation, shown on every page"),
    Variable("STANCHION_FLOWER_URL", _web_address, "", "address of Flower, which the web process shows under /flower/"),
    Variable("STANCHION_FLOWER_LOGIN", str, "", "user:password Flower asks the web process for, its FLOWER_BASIC_AUTH"),
    Variable("STANCHION_TOKEN_DAYS", _positive, "30", "days after which an API token expires"),
    Variable(
        "STANCHION_MAX_BODY_BYTES", lambda text: int(_positive(text)), "1048576", "largest request body, in bytes"
    ),
    Variable(
        "STANCHION_JOB_LEASE_SECONDS", _positive, "10", "lease of a claimed job; a frozen worker loses it after this"
    ),
    Variable(
        "STANCHION_SETTLE_SECONDS", _positive, "5", "least age of an unknown order before its absence is believed"
    ),
    Variable(
        "STANCHION_CALLING_PROCESSES",
        _count,
        "4",
        "processes that call brokers: they share rate limits and the pace of a recovery, also while Redis is away",
    ),
    Variable(
        "STANCHION_REQUESTS_PER_SECOND",
        _count,
        "1000",
        "requests of one user that all web processes together answer in a second; reads leave a third of them to orders",
    ),
    Variable(
        "STANCHION_RELEASE",
        _release,
        DEFAULT_RELEASE,
        "name of this release, for example its version or commit; its first start is marked on pages",
    ),
    Variable("STANCHION_PUBLIC_URL", _web_address, "", "address of the operator screen, written into messages"),
    Variable("STANCHION_PRIVATE_CHANNELS", _flag, "0", "1 lets messages go to hosts on private networks"),
    Variable(
        "STANCHION_PRIVATE_BROKERS",
        _networks,
        "",
        "private networks that brokers may be in, such as 127.0.0.0/8 for a gateway on this machine; comma separated",
    ),
    Variable(
        "STANCHION_HEARTBEAT_URL",
        _web_address,
        "",
        "asked every minute while alerts are evaluated and messages go out; whoever watches it notices when they do not",
    ),
    Variable(
        "STANCHION_TRACES_URL",
        _traces,
        "",
        "OTLP/HTTP address that traces are sent to, without /v1/traces; console prints them; blank: nothing is traced",
    ),
    Variable("STANCHION_TRACES_RATIO", _share, "1", "share of the traces beginning here that are kept, above 0 to 1"),
    Variable(
        "STANCHION_EXPORT_DIR",
        str,
        "",
        "directory that rows are exported to before they are dropped; blank: what must be exported is not dropped",
    ),
    Variable(
        "STANCHION_ANCHOR_FILE", str, "", "file that anchors of the history are appended to, outside the database"
    ),
)


def read_environment(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return every declared variable, parsed.

    Raises:
        ImproperlyConfigured: one line that names each missing or wrong variable.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for variable in VARIABLES:
        text = environ.get(variable.name, variable.default)
        if text is None:
            problems.append(f"{variable.name} is not set ({variable.purpose})")
            continue
        if text == "" and variable.default == "":
            values[variable.name] = variable.parse("") if variable.parse in (_words, _flag, _networks) else ""
            continue
        try:
            values[variable.name] = variable.parse(text)
        except ValueError as error:
            problems.append(f"{variable.name} is wrong: {error}")
    if problems:
        raise ImproperlyConfigured("; ".join(problems))
    return values
