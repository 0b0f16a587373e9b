"""The address of a broker as this adapter reads it: where the exchange is, and what ccxt is to be told.

``https://api.binance.com?currency=USDC``: the host decides where orders go. A host of the exchange's own
leaves ccxt's addresses alone, one of its test hosts switches to its test exchange, and any other host
replaces every address. In the query, ``currency`` names what balances are reported in, ``sandbox=true``
switches to a test exchange that has no host of its own; everything else is an option of ccxt.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from brokers.adapters.ccxt.errors import not_sent
from brokers.adapters.errors import BrokerCallError
from brokers.adapters.interface import AccountSettings
from reliability.core.taxonomy import FailureKind

_FLAGS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Address:
    """``origin`` is scheme, host and port, with a path in front of the exchange's own paths if there is one."""

    origin: SplitResult
    currency: str
    sandbox: bool
    options: Mapping[str, Any]


def read_address(settings: AccountSettings, default_currency: str) -> Address:
    """Return the address of an account; raises ``BrokerCallError`` when it is not one."""
    try:
        url = urlsplit(settings.base_url)
        port_is_fine = url.port is None or url.port > 0
    except ValueError:
        raise misconfigured(settings, "the address is malformed") from None
    if url.scheme not in ("http", "https") or not url.hostname or url.username or url.password or not port_is_fine:
        raise misconfigured(settings, "the address is not plain http/https")
    query = dict(parse_qsl(url.query))
    currency = query.pop("currency", default_currency).upper()
    sandbox = query.pop("sandbox", "false")
    if sandbox not in _FLAGS or not currency.isalnum():
        raise misconfigured(settings, "the address has a wrong sandbox or currency")
    options = {name: _FLAGS.get(value, value) for name, value in query.items()}
    origin = url._replace(query="", fragment="", path=url.path.rstrip("/"))
    return Address(origin, currency, _FLAGS[sandbox], options)


def direct(exchange: Any, address: Address, settings: AccountSettings) -> None:
    """Make ``exchange`` speak to the address; raises ``BrokerCallError`` when it contradicts itself."""
    host = address.origin.hostname
    live, test = set(_hosts(exchange, "api")), set(_hosts(exchange, "test"))
    if address.sandbox and host in live - test:
        raise misconfigured(settings, f"{host} is no test exchange")
    if address.sandbox or host in test - live:
        exchange.set_sandbox_mode(True)
    if host not in live | test:
        exchange.urls["api"] = _moved(exchange.urls["api"], address.origin)


def misconfigured(settings: AccountSettings, problem: str) -> BrokerCallError:
    message = f"account {settings.account}: {problem}"
    return not_sent(FailureKind.TRANSIENT, "SYSTEM_ACCOUNT_MISCONFIGURED", message)


def _hosts(exchange: Any, name: str) -> Iterator[str]:
    for text in _texts(exchange.urls.get(name)):
        host = urlsplit(exchange.implode_hostname(text)).hostname
        if host:
            yield host


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _moved(value: Any, origin: SplitResult) -> Any:
    """Return a tree of addresses with scheme, host and port replaced and their paths kept."""
    if isinstance(value, Mapping):
        return {name: _moved(item, origin) for name, item in value.items()}
    if not isinstance(value, str):
        return value
    url = urlsplit(value)
    return url._replace(scheme=origin.scheme, netloc=origin.netloc, path=origin.path + url.path).geturl()
