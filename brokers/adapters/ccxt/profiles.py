"""What is documented of single exchanges, and what is assumed of all others. Knows no ccxt.

Sources:
    Binance Spot API documentation: "Trading endpoints" (a client order id is refused while an order of it is
    open, and may be used again afterwards; an order is asked for by symbol), "Timing security" (recvWindow),
    "User Data Stream requests". Alpaca Trading API reference.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from functools import lru_cache
from importlib.util import find_spec
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any

from brokers.adapters.alpaca.parsing import STATUSES as ALPACA_STATUSES
from brokers.core.capabilities import Capabilities
from brokers.core.reports import ReportedStatus


class Dialect(Enum):
    """Whose particulars are followed where ccxt's unified calls do not reach."""

    GENERIC = auto()
    BINANCE = auto()
    ALPACA = auto()


@dataclass(frozen=True, slots=True)
class ExchangeProfile:
    """One exchange as the adapter sees it.

    ``currency`` is what balances are reported in unless the account's address names another.
    ``replies_in_full``: the reply to an order repeats it, so that one that does not is broken.
    ``refuses_in_success``: refusals come with an HTTP status of success. ``statuses`` are names
    of order states that ccxt hands on unread. ``options`` are ccxt's own.
    """

    capabilities: Capabilities
    currency: str = "USDT"
    dialect: Dialect = Dialect.GENERIC
    replies_in_full: bool = False
    refuses_in_success: bool = True
    statuses: Mapping[str, ReportedStatus] = field(default_factory=lambda: MappingProxyType({}))
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


CAUTIOUS = Capabilities(
    dedupes_client_order_id=False,
    finds_by_client_order_id=False,
    streams_orders=False,
    lists_fills=True,
    settle_time=timedelta(seconds=30),
    positions_follow_fills=False,  # its trades may tell no fees, and nobody has looked
)
UNKNOWN_EXCHANGE = ExchangeProfile(CAUTIOUS)

_BINANCE = ExchangeProfile(
    # The id of a final order may be used again, so that a second submission is not always refused.
    capabilities=Capabilities(
        dedupes_client_order_id=False,
        finds_by_client_order_id=True,
        streams_orders=True,
        lists_fills=True,
        settle_time=timedelta(seconds=10),
        replaces_orders=True,
        cash_follows_fills=True,
    ),
    dialect=Dialect.BINANCE,
    replies_in_full=True,
    refuses_in_success=False,
    options=MappingProxyType(
        {
            "fetchMarkets": {"types": ["spot"]},
            "fetchMargins": False,
            "newOrderRespType": {"market": "FULL", "limit": "FULL"},
            "recvWindow": 5000,
        }
    ),
)
_ALPACA = ExchangeProfile(
    capabilities=Capabilities(
        dedupes_client_order_id=True,
        finds_by_client_order_id=True,
        streams_orders=False,
        lists_fills=True,
        replaces_orders=True,
        positions_follow_fills=False,  # fees are taken out of what is bought, and no execution tells them
    ),
    currency="USD",
    dialect=Dialect.ALPACA,
    replies_in_full=True,
    refuses_in_success=False,
    statuses=MappingProxyType(ALPACA_STATUSES),
)
PROFILES: Mapping[str, ExchangeProfile] = {"alpaca": _ALPACA, "binance": _BINANCE}


def profile_of(exchange_id: str) -> ExchangeProfile:
    return PROFILES.get(exchange_id, UNKNOWN_EXCHANGE)


@lru_cache
def installed_exchanges() -> tuple[str, ...]:
    """Return the exchanges of the installed ccxt, read off its files: importing it takes seconds."""
    library = find_spec("ccxt")
    folders = library.submodule_search_locations if library is not None else None
    modules = (module.name for module in iter_modules([f"{folder}/async_support" for folder in folders or ()]))
    return tuple(sorted(name for name in modules if name != "base"))
