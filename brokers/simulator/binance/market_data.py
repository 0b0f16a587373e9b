"""/api/v3/klines: the same bars out of the seed as Alpaca's, in Binance's rows; the last one may not be over yet.

Source:
    "Kline/Candlestick data", Binance Spot API documentation.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from brokers.simulator.bars import EPOCH, Timeframe, bar_at
from brokers.simulator.binance.requests import BinanceRefusalError, instrument_of, limit_of, missing, whole_number
from brokers.simulator.binance.wire import milliseconds
from brokers.simulator.gate import Answer, Call

_UNITS = {"m": "min", "h": "hour", "d": "day", "w": "week"}
_MILLISECOND = timedelta(milliseconds=1)


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
