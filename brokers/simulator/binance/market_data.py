"""/api/v3/klines, ticker and trades: the same market as Alpaca's in Binance's rows; the last bar may not be over yet.

Source:
    "Kline/Candlestick data", "24hr ticker price change statistics" and "Compressed/Aggregate trades list", Binance Spot
    API documentation.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from brokers.simulator.bars import EPOCH, Timeframe, bar_at
from brokers.simulator.binance.requests import BinanceRefusalError, instrument_of, limit_of, missing, whole_number
from brokers.simulator.binance.wire import milliseconds, number, symbol_of
from brokers.simulator.gate import Answer, Call
from brokers.simulator.rest.market_data import trade_now

_UNITS = {"m": "min", "h": "hour", "d": "day", "w": "week"}
_MILLISECOND = timedelta(milliseconds=1)
_DAY = timedelta(days=1)


def list_klines(call: Call) -> Answer:
    """Answer bars oldest first: from ``startTime`` on, else the newest; up to ``endTime`` and ``limit``."""
    instrument, timeframe = instrument_of(call, call.query), _timeframe(call)
    limit, now = limit_of(call.query), datetime.now(UTC)
    first, last = whole_number(call.query, "startTime"), whole_number(call.query, "endTime")
    end = min(now, now if last is None else EPOCH + last * _MILLISECOND)
    start = timeframe.floor(end) - (limit - 1) * timeframe.length
    if first is not None:
        start = timeframe.ceil(EPOCH + first * _MILLISECOND)
    rows: list[list[Any]] = []
    while start <= end and len(rows) < limit:
        rows.append(_row(bar_at(instrument, call.broker.settings.data_seed, timeframe, start), start, timeframe))
        start += timeframe.length
    return Answer(rows)


def get_ticker(call: Call) -> Answer:
    """Answer the last quote and price of a symbol; of the day's statistics only what can be told."""
    instrument = instrument_of(call, call.query)
    walk, now = call.broker.venue.walks[instrument.symbol], datetime.now(UTC)
    price = number(walk.price)
    prices = {f"{name}Price": price for name in ("weightedAvg", "prevClose", "last", "open", "high", "low")}
    return Answer(
        {
            "symbol": symbol_of(instrument.symbol),
            "priceChange": number(None),
            "priceChangePercent": "0.000",
            **prices,
            "lastQty": "100.00000000",
            "bidPrice": number(walk.quote.bid),
            "bidQty": "3.00000000",
            "askPrice": number(walk.quote.ask),
            "askQty": "3.00000000",
            "volume": number(None),
            "quoteVolume": number(None),
            "openTime": milliseconds(now - _DAY),
            "closeTime": milliseconds(now),
            "firstId": -1,
            "lastId": -1,
            "count": 0,
        }
    )


def list_trades(call: Call) -> Answer:
    """Answer the newest trade of a symbol: one a call, at the price of now."""
    instrument = instrument_of(call, call.query)
    trade = trade_now(call.broker, instrument)
    price = number(call.broker.venue.walks[instrument.symbol].price)
    made = milliseconds(datetime.fromisoformat(trade["t"]))
    ids = dict.fromkeys(("a", "f", "l"), trade["i"])
    return Answer([{**ids, "p": price, "q": f"{trade['s']:.8f}", "T": made, "m": False, "M": True}])


def _timeframe(call: Call) -> Timeframe:
    text = call.query.get("interval", "")
    if not text:
        raise missing("interval")
    found = Timeframe.parse(text[:-1] + _UNITS.get(text[-1], "?"))
    if found is None:
        raise BinanceRefusalError(-1120, "Invalid interval.")
    return found


def _row(bar: dict[str, Any], start: datetime, timeframe: Timeframe) -> list[Any]:
    begins, ends = milliseconds(start), milliseconds(start + timeframe.length) - 1
    prices = [f"{bar[name]:.8f}" for name in ("o", "h", "l", "c")]
    volume, paid = f"{bar['v']:.8f}", f"{bar['v'] * bar['vw']:.8f}"
    half = [f"{bar['v'] / 2:.8f}", f"{bar['v'] * bar['vw'] / 2:.8f}"]
    return [begins, *prices, volume, ends, paid, bar["n"], *half, "0"]
