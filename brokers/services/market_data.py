"""Sources of market data for other apps: an account's broker, its addresses for data, and the guard before calls."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from brokers.adapters.failure_rules import live_source
from brokers.adapters.market_data import MarketDataSession, can_stream, open_market_data
from brokers.core.reports import BarPage, MarketNews, ReportedTick, TickKind
from brokers.services.accounts import AccountProfile, list_profiles
from brokers.services.guards import CallClass, get_guard
from brokers.services.reviewed_session import reviewed
from reliability.core.classification import Operation
from reliability.core.errors import ReliabilityError


@dataclass(frozen=True, slots=True)
class SourceAddress:
    """One source: the account whose broker and credentials are used, and addresses of the data API.

    An empty ``data_url`` is the broker's own address. Without a ``stream_url`` bars are fetched.
    """

    account: str
    data_url: str = ""
    stream_url: str = ""
    silence_seconds: float = 0.75


class BarSource:
    """An open session with one source. Fetching passes the guard of the account; a stream has its own watch."""

    def __init__(self, address: SourceAddress, profile: AccountProfile) -> None:
        settings = replace(
            profile.settings,
            base_url=address.data_url or profile.settings.base_url,
            stream_url=address.stream_url or profile.settings.stream_url,
            silence_timeout_seconds=address.silence_seconds,
        )
        self.profile = profile
        self._session: MarketDataSession = open_market_data(profile.adapter.name, settings)
        self._source = live_source(profile.adapter.name)
        self._guard = get_guard(profile, CallClass.DATA)

    async def fetch_bars(self, symbol: str, timeframe: str, start: datetime, end: datetime, token: str) -> BarPage:
        return await self._guard.call(self._fetch, symbol, timeframe, start, end, token)

    async def _fetch(self, symbol: str, timeframe: str, start: datetime, end: datetime, token: str) -> BarPage:
        fetching = self._session.fetch_bars(symbol, timeframe, start, end, token)
        return await reviewed(self._source, Operation.DATA, fetching)

    async def fetch_ticks(self, symbols: Sequence[str]) -> list[ReportedTick]:
        """Return the last quote and trade of each symbol that has one: each call to the source passes the guard."""
        found: list[ReportedTick] = []
        step = self._session.tick_symbols
        for kind in TickKind:
            for start in range(0, len(symbols), step):
                found += await self._guard.call(self._session.fetch_ticks, kind, symbols[start : start + step])
        return found

    def stream_market(
        self, symbols: Sequence[str], tick_symbols: Sequence[str] = ()
    ) -> AsyncGenerator[MarketNews | None, None]:
        return self._session.stream_market(symbols, tick_symbols)

    async def close(self) -> None:
        await self._session.close()


_sources: dict[tuple[int, SourceAddress], BarSource] = {}


def find_account(name: str) -> AccountProfile:
    """Return the account called ``name``; raises ``ReliabilityError`` when there is none. Reads the database."""
    for profile in list_profiles():
        if profile.name == name:
            return profile
    raise ReliabilityError("SYSTEM_ACCOUNT_MISCONFIGURED", f"There is no account called {name!r}.")


def get_source(address: SourceAddress, profile: AccountProfile) -> BarSource:
    """Return the source of this address on the running loop; a new one after the account changed."""
    key = (id(asyncio.get_running_loop()), address)
    known = _sources.get(key)
    if known is None or known.profile != profile:
        known = _sources[key] = BarSource(address, profile)
    return known


def streams_bars(address: SourceAddress, profile: AccountProfile) -> bool:
    return bool(address.stream_url) and can_stream(profile.adapter.name)
