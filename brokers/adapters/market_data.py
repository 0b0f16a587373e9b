"""The one interface through which market data is read, whatever the source.

Bars are handed on as they came: judging them is the business of whoever keeps them. Every method raises
``BrokerCallError`` or, for streams, ``StreamLostError``, and nothing else when a call fails.
"""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Protocol

from brokers.adapters.alpaca.market_data import AlpacaMarketData
from brokers.adapters.ccxt.market_data import CcxtMarketData
from brokers.adapters.interface import AccountSettings
from brokers.adapters.registry import UnknownAdapterError
from brokers.core.reports import BarPage, MarketNews, ReportedTick, TickKind

_CCXT = "ccxt:"


class MarketDataSession(Protocol):
    """A session with one source of bars and of last quotes and trades.

    ``tick_symbols`` is how many symbols one call of ``fetch_ticks`` may name.
    """

    tick_symbols: int

    async def fetch_bars(self, symbol: str, timeframe: str, start: datetime, end: datetime, token: str) -> BarPage:
        """Return one page of the bars that begin from ``start`` to ``end``, both included, oldest first.

        ``timeframe`` is ``1Min``, ``5Min``, ``15Min``, ``1Hour`` or ``1Day``; ``token`` is empty at first, then that
        of the page before.
        """
        ...

    async def fetch_ticks(self, kind: TickKind, symbols: Sequence[str]) -> list[ReportedTick]:
        """Return the last quote or trade of each symbol that has one; one call to the source."""
        ...

    def stream_market(
        self, symbols: Sequence[str], tick_symbols: Sequence[str] = ()
    ) -> AsyncGenerator[MarketNews | None, None]:
        """Connect, log in, subscribe to minute bars, their revisions, and quotes and trades, then yield what comes.

        ``None`` is yielded once when the subscription to bars stands, and at each sign of life without news. A source
        that does not grant quotes and trades delivers the bars alone. Raises ``StreamLostError`` when the stream ends,
        is refused, or stays silent in spite of pings.
        """
        ...

    async def close(self) -> None: ...


def open_market_data(adapter: str, settings: AccountSettings) -> MarketDataSession:
    """Return a session bound to the running event loop; nothing is sent yet.

    ``settings`` hold the addresses of the data API.

    Raises:
        UnknownAdapterError: this kind of broker gives no market data here.
        BrokerCallError: ``SYSTEM_ACCOUNT_MISCONFIGURED`` for unusable addresses or credentials.
    """
    if adapter == "alpaca":
        return AlpacaMarketData(settings)
    if adapter.startswith(_CCXT):
        return CcxtMarketData(adapter.removeprefix(_CCXT), settings)
    raise UnknownAdapterError(f"the adapter {adapter!r} gives no market data")


def can_stream(adapter: str) -> bool:
    """Return whether bars of this kind of broker come by themselves; otherwise they are fetched."""
    return adapter == "alpaca"
