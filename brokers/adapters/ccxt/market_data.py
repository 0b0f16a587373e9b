"""Bars of an exchange through ccxt's ``fetch_ohlcv``. Exchanges send no bars by themselves here: they are asked."""

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta

from brokers.adapters.ccxt.client import CcxtAdapter, CcxtSession
from brokers.adapters.errors import StreamLostError
from brokers.adapters.interface import AccountSettings
from brokers.core.reports import BarPage, ReportedBar

PAGE_SIZE = 500
_NAMES = ("open", "high", "low", "close", "volume")
_TIMEFRAMES = {"1Min": "1m", "5Min": "5m", "15Min": "15m", "1Hour": "1h", "1Day": "1d"}


class CcxtMarketData:
    """See ``MarketDataSession`` for what each method promises."""

    def __init__(self, exchange_id: str, settings: AccountSettings) -> None:
        session = CcxtAdapter(exchange_id).open_session(settings)
        assert isinstance(session, CcxtSession)
        self._session = session

    async def fetch_bars(self, symbol: str, timeframe: str, start: datetime, end: datetime, token: str) -> BarPage:
        first = int(token) if token else int(start.timestamp() * 1000)
        last = int(end.timestamp() * 1000)
        rows = await self._session.fetch_bars(symbol, _TIMEFRAMES[timeframe], first, PAGE_SIZE)
        wanted = [row for row in rows if first <= row[0] <= last]
        is_last = not rows or rows[-1][0] >= last or not wanted
        bars = tuple(
            ReportedBar(symbol, {"timestamp": _instant(row[0]), **dict(zip(_NAMES, row[1:6], strict=True))})
            for row in wanted
        )
        return BarPage(bars, "" if is_last else str(wanted[-1][0] + 1))

    async def stream_bars(self, symbols: Sequence[str]) -> AsyncGenerator[list[ReportedBar] | None, None]:
        raise StreamLostError("DATA_NOT_AVAILABLE", "bars of an exchange are asked for, not streamed")
        yield None

    async def close(self) -> None:
        await self._session.close()


def _instant(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
