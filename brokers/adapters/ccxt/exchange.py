"""Making an exchange object of ccxt: one attempt a call, no waiting of its own, numbers as text."""

import importlib
from typing import Any

from brokers.adapters.ccxt.address import Address, direct, misconfigured
from brokers.adapters.ccxt.profiles import ExchangeProfile
from brokers.adapters.ccxt.transport import OneAttemptHttp
from brokers.adapters.interface import AccountSettings

# Our names of credentials, and ccxt's; other names are ccxt's own (password, uid, walletAddress, ...).
_CREDENTIALS = {"api_key": "apiKey", "api_secret": "secret"}


def load_library() -> Any:
    """Import ccxt, which takes seconds; raises ``ImportError`` where it is not installed."""
    return importlib.import_module("ccxt.async_support")


def make_exchange(
    library: Any,
    exchange_id: str,
    profile: ExchangeProfile,
    settings: AccountSettings,
    address: Address,
    http: OneAttemptHttp,
) -> Any:
    """Return a ccxt exchange that speaks through ``http``; raises ``BrokerCallError`` for an unusable account."""
    if exchange_id not in library.exchanges:
        raise misconfigured(settings, f"ccxt knows no exchange {exchange_id!r}")
    credentials = {_CREDENTIALS.get(name, name): value for name, value in settings.credentials.items()}
    exchange = getattr(library, exchange_id)(
        {
            **credentials,
            "enableRateLimit": False,
            "timeout": int(settings.call_timeout_seconds * 1000),
            "options": {
                **profile.options,
                **address.options,
                "warnOnFetchOpenOrdersWithoutSymbol": False,
                "maxRetriesOnFailure": 0,
                "adjustForTimeDifference": False,
            },
        }
    )
    exchange.number = str
    exchange.has["fetchCurrencies"] = False  # a second, often private request that nothing here needs
    exchange.timeout_on_exit = 0
    missing = [name for name, needed in exchange.requiredCredentials.items() if needed and not getattr(exchange, name)]
    if missing:
        raise misconfigured(settings, f"the credentials {', '.join(missing)} are missing")
    direct(exchange, address, settings)
    exchange.own_session, exchange.session = False, http  # last: an exchange with a session asks to be closed
    return exchange


def clock_can_be_set(exchange: Any) -> bool:
    """Return whether the exchange signs with a time that can be moved to its own clock."""
    return "timeDifference" in exchange.options and bool(exchange.has.get("fetchTime"))


def use_clock(exchange: Any, offset_ms: int) -> None:
    """Let the exchange sign with our time less ``offset_ms``, where its requests carry a time."""
    if clock_can_be_set(exchange):
        exchange.options["timeDifference"] = offset_ms
