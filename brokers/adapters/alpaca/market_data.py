"""Alpaca's market data: historical bars page by page, last quotes and trades, and the stream of all three.

Source:
    "Historical bars", "Latest quotes", "Latest trades" and "Real-time Stock Data", Alpaca Market Data API
    documentation.
"""

import logging
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import aiohttp
from yarl import URL

from brokers.adapters.alpaca.errors import Operation
from brokers.adapters.alpaca.parsing import ParseError, parse_json
from brokers.adapters.alpaca.transport import AlpacaTransport, read_credentials, read_url
from brokers.adapters.errors import StreamLostError
from brokers.adapters.interface import AccountSettings
from brokers.adapters.websocket import Listener, connect, require_data, send, within_deadline
from brokers.core.reports import BarPage, MarketNews, ReportedBar, ReportedTick, TickKind

PAGE_SIZE = 10_000
_FIELDS = {"t": "timestamp", "o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
_TICK_FIELDS = {
    TickKind.QUOTE: {"t": "timestamp", "bp": "bid", "bs": "bid_size", "ap": "ask", "as": "ask_size"},
    TickKind.TRADE: {"t": "timestamp", "p": "price", "s": "size"},
}
_TICK_TYPES = {"q": TickKind.QUOTE, "t": TickKind.TRADE}
_TICK_CHANNELS = {TickKind.QUOTE: "quotes", TickKind.TRADE: "trades"}
_REFUSED_LOGIN = {401, 402, 403, 409}
_NOT_GRANTED = {405, 409, 410}  # too many symbols, a plan without it, a channel this feed has not

logger = logging.getLogger(__name__)


class AlpacaMarketData:
    """See ``MarketDataSession`` for what each method promises."""

    tick_symbols = 100

    def __init__(self, settings: AccountSettings) -> None:
        self._settings = settings
        self._stocks_url = URL(f"{read_url(settings, settings.base_url, 'http', 'https')}/v2/stocks")
        self._transport = AlpacaTransport(settings)

    async def fetch_bars(self, symbol: str, timeframe: str, start: datetime, end: datetime, token: str) -> BarPage:
        query = {
            "symbols": symbol,
            "timeframe": timeframe,
            "start": start.isoformat(),
            "end": end.isoformat(),
            "limit": str(PAGE_SIZE),
            "adjustment": "raw",
            "sort": "asc",
        }
        if token:
            query["page_token"] = token
        reply = await self._transport.call(Operation.QUERY, "GET", self._address("bars", query))
        document = self._transport.document(Operation.QUERY, reply)
        try:
            return _page(document, symbol)
        except ParseError as error:
            failure = self._transport.distrust(Operation.QUERY, reply, error)
        raise failure

    async def fetch_ticks(self, kind: TickKind, symbols: Sequence[str]) -> list[ReportedTick]:
        channel = _TICK_CHANNELS[kind]
        url = self._address(f"{channel}/latest", {"symbols": ",".join(symbols)})
        reply = await self._transport.call(Operation.QUERY, "GET", url)
        document = self._transport.document(Operation.QUERY, reply)
        rows = document.get(channel) if isinstance(document, dict) else None
        if isinstance(rows, dict) and all(isinstance(row, dict) for row in rows.values()):
            return [_tick(symbol, kind, row) for symbol, row in rows.items() if symbol in symbols]
        raise self._transport.distrust(Operation.QUERY, reply, ParseError(f"{channel} are not objects by symbol"))

    async def stream_market(
        self, symbols: Sequence[str], tick_symbols: Sequence[str] = ()
    ) -> AsyncGenerator[MarketNews | None, None]:
        url = read_url(self._settings, self._settings.stream_url, "ws", "wss")
        deadline = self._settings.call_timeout_seconds
        socket = await within_deadline(connect(self._transport.http, url), deadline)
        try:
            await within_deadline(_subscribe(socket, self._settings, symbols), deadline)
            yield None
            if tick_symbols:
                wanted = dict.fromkeys(_TICK_CHANNELS.values(), sorted(tick_symbols))
                await send(socket, {"action": "subscribe", **wanted})
            listener = Listener(socket, self._settings.silence_timeout_seconds)
            while True:
                frame = await listener.next_frame()
                yield None if frame is None else _news(_messages(frame, _NOT_GRANTED if tick_symbols else set()))
        finally:
            await socket.close()

    def _address(self, path: str, query: Mapping[str, str]) -> URL:
        return (self._stocks_url / path).with_query(query)

    async def close(self) -> None:
        await self._transport.close()


async def _subscribe(
    socket: aiohttp.ClientWebSocketResponse, settings: AccountSettings, symbols: Sequence[str]
) -> None:
    key, secret = read_credentials(settings)
    wanted = sorted(symbols)
    while True:
        frame = await socket.receive()
        if frame.type in (aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG):
            continue
        for message in _messages(frame):
            kind, text = message.get("T"), message.get("msg")
            if kind == "success" and text == "connected":
                await send(socket, {"action": "auth", "key": key, "secret": secret})
            elif kind == "success" and text == "authenticated":
                await send(socket, {"action": "subscribe", "bars": wanted, "updatedBars": wanted})
            elif kind == "subscription":
                if not set(wanted) <= set(message.get("bars") or ()):
                    raise StreamLostError("AUTH_FORBIDDEN", "the stream does not grant these bars")
                return


def _messages(frame: aiohttp.WSMessage, forgiven: Collection[int] = ()) -> list[dict[str, Any]]:
    """Return the messages in a frame; raises ``StreamLostError`` for an error of the stream or anything unreadable.

    ``forgiven`` are the codes of errors that end nothing: what was asked for beside the bars is not granted.
    """
    try:
        content = parse_json(require_data(frame))
    except ParseError as error:
        raise StreamLostError("DATA_MALFORMED_REPLY", f"unreadable stream message: {error}"[:500]) from error
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise StreamLostError("DATA_MALFORMED_REPLY", "a stream message is not a list of objects")
    for message in content:
        if message.get("T") == "error":
            if message.get("code") in forgiven:
                logger.warning("the stream grants no quotes and trades", extra={"error": str(message.get("msg"))[:200]})
                continue
            code = "AUTH_INVALID_CREDENTIALS" if message.get("code") in _REFUSED_LOGIN else "BROKER_STREAM_REFUSED"
            raise StreamLostError(code, f"the stream reported {message.get('code')}: {message.get('msg')}"[:500])
    return content


def _news(messages: Sequence[Mapping[str, Any]]) -> MarketNews | None:
    bars: list[ReportedBar] = []
    ticks: list[ReportedTick] = []
    for message in messages:
        symbol, kind = str(message.get("S", "")), message.get("T")
        if kind in ("b", "u"):
            bars.append(_bar(symbol, message, is_revision=kind == "u"))
        elif kind in _TICK_TYPES:
            ticks.append(_tick(symbol, _TICK_TYPES[kind], message))
    return MarketNews(tuple(bars), tuple(ticks)) if bars or ticks else None


def _tick(symbol: str, kind: TickKind, row: Mapping[str, Any]) -> ReportedTick:
    return ReportedTick(symbol, kind, {name: row.get(short) for short, name in _TICK_FIELDS[kind].items()})


def _bar(symbol: str, row: Mapping[str, Any], *, is_revision: bool = False) -> ReportedBar:
    return ReportedBar(symbol, {name: row.get(short) for short, name in _FIELDS.items()}, is_revision)


def _page(document: Any, symbol: str) -> BarPage:
    bars = document.get("bars") if isinstance(document, dict) else None
    if not isinstance(bars, dict):
        raise ParseError("bars are missing")
    rows = bars.get(symbol) or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ParseError("bars are not a list of objects")
    token = document.get("next_page_token")
    if token is not None and not isinstance(token, str):
        raise ParseError("next_page_token is no text")
    return BarPage(tuple(_bar(symbol, row) for row in rows), token or "")
