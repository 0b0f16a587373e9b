"""/v2/stocks: bars out of the seed, quotes and trades out of the moving price."""

import base64
import binascii
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from brokers.simulator.bars import Timeframe, bar_at
from brokers.simulator.broker import Broker
from brokers.simulator.gate import Answer, Call
from brokers.simulator.instruments import Instrument
from brokers.simulator.query import instant_of, names_of, one_of, whole_number
from brokers.simulator.requests import RefusalError, find_instrument
from brokers.simulator.wire import instant

BARS_LIMIT = 10_000
DEFAULT_BARS = 1000
TRADE_ID_MASK = 2**53 - 1


def list_bars(call: Call) -> Answer:
    bars, token = _page_of_bars(call, _instruments(call))
    return Answer({"bars": bars, "next_page_token": token})


def list_bars_of_symbol(call: Call) -> Answer:
    instrument = _instrument(call, call.path_value("symbol"))
    bars, token = _page_of_bars(call, [instrument])
    return Answer({"symbol": instrument.symbol, "bars": bars.get(instrument.symbol, []), "next_page_token": token})


def latest_quotes(call: Call) -> Answer:
    return Answer({"quotes": {i.symbol: quote_now(call.broker, i) for i in _instruments(call)}})


def latest_quote(call: Call) -> Answer:
    instrument = _instrument(call, call.path_value("symbol"))
    return Answer({"symbol": instrument.symbol, "quote": quote_now(call.broker, instrument)})


def latest_trades(call: Call) -> Answer:
    return Answer({"trades": {i.symbol: trade_now(call.broker, i) for i in _instruments(call)}})


def latest_trade(call: Call) -> Answer:
    instrument = _instrument(call, call.path_value("symbol"))
    return Answer({"symbol": instrument.symbol, "trade": trade_now(call.broker, instrument)})


def _page_of_bars(call: Call, instruments: list[Instrument]) -> tuple[dict[str, list[dict[str, Any]]], str | None]:
    """Return up to ``limit`` bars over all symbols, symbol by symbol, and the token of the bar that comes next."""
    limit = whole_number(call.query, "limit", DEFAULT_BARS, BARS_LIMIT)
    timeframe = Timeframe.parse(call.query.get("timeframe", "1Day"))
    if timeframe is None:
        raise RefusalError(400, None, f"invalid timeframe: {call.query.get('timeframe')}")
    seed = call.broker.settings.data_seed
    bars: dict[str, list[dict[str, Any]]] = {}
    for count, (instrument, start) in enumerate(_bar_starts(call, instruments, timeframe)):
        if count == limit:
            return bars, _encode_token(instrument.symbol, start)
        bars.setdefault(instrument.symbol, []).append(bar_at(instrument, seed, timeframe, start))
    return bars, None


def _bar_starts(
    call: Call, instruments: list[Instrument], timeframe: Timeframe
) -> Iterator[tuple[Instrument, datetime]]:
    now = datetime.now(UTC)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    first = timeframe.ceil(instant_of(call.query, "start") or today)
    end = min(instant_of(call.query, "end") or now, now)
    is_oldest_first = one_of(call.query, "sort", ("asc", "desc")) == "asc"
    last = timeframe.floor(end)
    resume_symbol, resume_at = _decode_token(call.query.get("page_token"))
    for instrument in sorted(instruments, key=lambda i: i.symbol):
        if instrument.symbol < resume_symbol:
            continue
        start, step = (first, timeframe.length) if is_oldest_first else (last, -timeframe.length)
        if instrument.symbol == resume_symbol and resume_at is not None:
            start = resume_at
        while first <= start <= last:
            yield instrument, start
            start += step


def _encode_token(symbol: str, start: datetime) -> str:
    return base64.urlsafe_b64encode(f"{symbol}|{start.isoformat()}".encode()).decode()


def _decode_token(token: str | None) -> tuple[str, datetime | None]:
    if not token:
        return "", None
    try:
        symbol, _, start = base64.urlsafe_b64decode(token).decode().partition("|")
        return symbol, datetime.fromisoformat(start).astimezone(UTC)
    except (binascii.Error, ValueError) as error:
        raise RefusalError(400, None, "invalid page_token") from error


def quote_now(broker: Broker, instrument: Instrument) -> dict[str, Any]:
    quote = broker.venue.walks[instrument.symbol].quote
    return {
        "t": instant(datetime.now(UTC)),
        "ax": "V",
        "ap": float(quote.ask),
        "as": 3,
        "bx": "V",
        "bp": float(quote.bid),
        "bs": 3,
        "c": ["R"],
        "z": "C",
    }


def trade_now(broker: Broker, instrument: Instrument) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "t": instant(now),
        "x": "V",
        "p": float(broker.venue.walks[instrument.symbol].price),
        "s": 100,
        "c": ["@"],
        "i": (now - datetime(2020, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) & TRADE_ID_MASK,
        "z": "C",
    }


def _instruments(call: Call) -> list[Instrument]:
    names = names_of(call.query, "symbols")
    if not names:
        raise RefusalError(400, None, "symbols is required")
    return [_instrument(call, name) for name in names]


def _instrument(call: Call, name: str) -> Instrument:
    instrument = find_instrument(name, call.broker.instruments)
    if instrument is None:
        raise RefusalError(400, None, f"invalid symbol: {name}")
    return instrument
