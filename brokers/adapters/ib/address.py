"""Where a gateway listens and as whom to log on, read from the account's settings."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from brokers.adapters.errors import BrokerCallError
from brokers.adapters.interface import AccountSettings
from reliability.core.taxonomy import FailureKind

SCHEMES = frozenset({"tcp", "http", "ws"})
DEFAULT_PORT = 4001
DEFAULT_CLIENT_IDS = "100-163"
DEFAULT_MASTER_CLIENT_ID = 99
DEFAULT_MESSAGES_PER_SECOND = 45
_OPTIONS = frozenset({"client_ids", "master_client_id", "messages_per_second", "standby_client_ids"})
_LARGEST_CLIENT_ID = 2**31 - 1
_MOST_CLIENT_IDS = 1000


@dataclass(frozen=True, slots=True)
class Address:
    """One gateway.

    ``client_ids`` are the ids our order sessions may log on with, ``standby_client_ids`` those of their second
    connections, ``master_client_id`` the one that hears of every order. ``messages_per_second`` is what the gateway
    takes from one connection.
    """

    host: str
    port: int
    client_ids: range
    master_client_id: int
    messages_per_second: int
    standby_client_ids: range = range(0)
    private_networks: tuple[str, ...] = ()


def read_address(settings: AccountSettings, text: str) -> Address:
    """Return the address behind ``tcp://host:port?client_ids=100-163&master_client_id=99&messages_per_second=45``.

    ``standby_client_ids`` are as many ids behind ``client_ids`` where they are left out, and none for ``none``.
    The scheme only separates: the API of TWS knows no encryption and no login, so ``http`` and ``ws`` mean the
    same. Raises ``BrokerCallError`` with ``SYSTEM_ACCOUNT_MISCONFIGURED`` for anything else.
    """
    try:
        url = urlsplit(text.strip())
        port = DEFAULT_PORT if url.port is None else url.port
        options = dict(parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query)))
        ids = _read_range(options.get("client_ids", DEFAULT_CLIENT_IDS))
        master = _read_number(options.get("master_client_id", str(DEFAULT_MASTER_CLIENT_ID)), 0, _LARGEST_CLIENT_ID)
        standby = _read_standby(options.get("standby_client_ids", ""), ids, master)
        pace = _read_number(options.get("messages_per_second", str(DEFAULT_MESSAGES_PER_SECOND)), 1, 100_000)
    except ValueError as error:
        raise misconfigured(settings, f"the gateway's address is malformed ({error})") from None
    if url.scheme not in SCHEMES or not url.hostname or url.username or url.password:
        raise misconfigured(settings, "the gateway's address is not plain tcp://host:port")
    if unknown := sorted(set(options) - _OPTIONS):
        raise misconfigured(settings, f"the gateway's address has unknown options: {', '.join(unknown)[:100]}")
    if master in ids:
        raise misconfigured(settings, "the master client id is among the client ids of the order sessions")
    if master in standby or set(standby) & set(ids):
        raise misconfigured(settings, "the client ids that stand by are those of others")
    return Address(url.hostname, port, ids, master, pace, standby, settings.private_networks)


def read_account_number(settings: AccountSettings) -> str:
    """Return the account number, empty where the gateway's only account is meant.

    The API has no secrets: the API key of the account holds the number, and the secret is not used.
    """
    number = settings.credentials.get("account_number") or settings.credentials.get("api_key", "")
    if not number.isascii() or not (number == "" or number.isalnum()):
        raise misconfigured(settings, "the account number is not one")
    return number


def misconfigured(settings: AccountSettings, problem: str) -> BrokerCallError:
    message = f"account {settings.account}: {problem}"
    return BrokerCallError(FailureKind.TRANSIENT, "SYSTEM_ACCOUNT_MISCONFIGURED", message)


def _read_range(text: str) -> range:
    first, separator, last = text.partition("-")
    start = _read_number(first, 1, _LARGEST_CLIENT_ID)
    end = _read_number(last, start, _LARGEST_CLIENT_ID) if separator else start
    if end - start >= _MOST_CLIENT_IDS:
        raise ValueError("too many client ids")
    return range(start, end + 1)


def _read_standby(text: str, ids: range, master: int) -> range:
    if text == "none":
        return range(0)
    if text:
        return _read_range(text)
    following = range(ids.stop, min(ids.stop + len(ids), _LARGEST_CLIENT_ID + 1))
    return range(following.start, master) if master in following else following


def _read_number(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text[:12]) <= most:
        raise ValueError(f"not a number from {least} to {most}")
    return int(text)
