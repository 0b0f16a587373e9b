"""Bars, last quotes and trades of an exchange through ccxt's ``fetch_ohlcv``, ``fetch_ticker`` and ``fetch_trades``.

Exchanges send nothing by themselves here: they are asked.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from brokers.adapters.ccxt.client import CcxtAdapter, CcxtSession
from brokers.adapters.errors import StreamLostError
from brokers.adapters.interface import AccountSettings
from brokers.core.reports import BarPage, MarketNews, ReportedBar, ReportedTick, TickKind

PAGE_SIZE = 500
_NAMES = ("open", "high", "low", "close", "volume")
_QUOTE_FIELDS = {"bid": "bid", "bidVolume": "bid_size", "ask": "ask", "askVolume": "ask_size"}
_TRADE_FIELDS = {"price": "price", "amount": "size"}
_TIMEFRAMES = {"1Min": "1m", "5Min": "5m", "15Min": "15m", "1Hour": "1h", "1Day": "1d"}


class CcxtMarketData:
    """See ``MarketDataSession`` for what each method promises."""

    tick_symbols = 1

    def __init__(self, exchange_id: str, settings: AccountSettings) -> None:
        session = CcxtAdapter(exchange_id).open_session(settings)
        assert isinstance(session, CcxtSession)
        self._session = session

    async def fetch_bars(self, symbol: str, timeframe: str, start: datetime, end: datetime, token: str) -> BarPage:
        first = int(token) if token else int(start.timestamp() * 1000)
        last = int(end.timestamp() * 1000)
        rows = await self._session.fetch_bars(symbol, _TIMEFRAMES[timeframe], first, PAGE_SIZE)
        # The question names no end, so what is later is no fault; what is earlier is, and is handed on to be judged.
        given = [row for row in rows if row[0] <= last]
        wanted = [row for row in given if row[0] >= first]
        is_last = not rows or rows[-1][0] >= last or not wanted
        bars = tuple(
            ReportedBar(symbol, {"timestamp": _instant(row[0]), **dict(zip(_NAMES, row[1:6], strict=True))})
            for row in given
        )
        return BarPage(bars, "" if is_last else str(wanted[-1][0] + 1))

    async def fetch_ticks(self, kind: TickKind, symbols: Sequence[str]) -> list[ReportedTick]:
        found = []
        for symbol in symbols:
            if kind is TickKind.QUOTE:
                row, fields = await self._session.fetch_ticker(symbol), _QUOTE_FIELDS
            else:
                row, fields = await self._session.fetch_last_trade(symbol), _TRADE_FIELDS
            if row is not None:
                found.append(ReportedTick(symbol, kind, _given(row, fields)))
        return found

    async def stream_market(
        self, symbols: Sequence[str], tick_symbols: Sequence[str] = ()
    ) -> AsyncGenerator[MarketNews | None, None]:
        raise StreamLostError("DATA_NOT_AVAILABLE", "market data of an exchange is asked for, not streamed")
        yield None

    async def close(self) -> None:
        await self._session.close()


def _given(row: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of ccxt's under our names, and when it was, where the exchange says so."""
    moment = row.get("timestamp")
    told = {"timestamp": _instant(moment) if isinstance(moment, int) else None}
    return told | {name: row.get(theirs) for theirs, name in fields.items()}


def _instant(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
