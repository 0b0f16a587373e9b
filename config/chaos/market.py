"""Market data of a stack under chaos: its feeds, what the brokers keep as true, and what is wrong or lacking."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from config.chaos.stack import BROKERS, Stack, wait_until

SYMBOLS = ("AAPL", "MSFT", "KO", "NVDA", "SPY", "TSLA", "AMZN", "GOOGL")
"""One an episode: what was recorded in an earlier one is not bad a second time."""
MINUTE = timedelta(minutes=1)
_PATIENCE_SECONDS = 90.0
_UP = "SELECT count(*) FROM reconciliation_feed WHERE name = ANY(%s) AND state = 'up' AND enabled"
_SERIES = "SELECT symbol FROM reconciliation_barseries"
_BARS = """
SELECT s.symbol, b.opened_at, b.source, b.open, b.high, b.low, b.close, b.volume FROM reconciliation_bar b
JOIN reconciliation_barseries s ON s.id = b.series_id ORDER BY s.symbol, b.opened_at
"""
_HELD = "SELECT count(*) FROM reconciliation_questionablebar WHERE received_at > %s"
_HAS_BAR = """
SELECT 1 FROM reconciliation_bar b JOIN reconciliation_barseries s ON s.id = b.series_id
WHERE s.symbol = %s AND b.opened_at = %s
"""
_UNFILLED = """
SELECT s.symbol || ' from ' || g.started_at || ': ' || g.state FROM reconciliation_gap g
JOIN reconciliation_barseries s ON s.id = g.series_id WHERE g.state IN ('found', 'filling', 'unfillable')
"""
_RELEASED = """
SELECT s.symbol, r.opened_at, r.revision FROM reconciliation_barrelease r
JOIN reconciliation_barseries s ON s.id = r.series_id ORDER BY r.seq
"""
# Bars of a day back are believed, so that an episode has minutes of its own.
_SWITCH_ON = "UPDATE reconciliation_feed SET enabled = true, late_seconds = 86400"
_SWITCH_OFF = "UPDATE reconciliation_feed SET enabled = false"


def subscribe_feeds(stack: Stack, symbol: str, since: datetime | None = None) -> None:
    """Have both brokers deliver the minutes of a symbol, the first one before the second; wait until both are heard."""
    there = {name for (name,) in stack.query("SELECT name FROM reconciliation_feed")}
    for number, broker in enumerate(BROKERS):
        name, url = f"sim-{broker}", stack.instance.urls[f"simbroker-{broker}"]
        if name not in there:
            address = url.replace("http", "ws", 1) + "/v2/iex"
            _manage(stack, "add", name, "--account", name, "--stream-url", address, "--priority", str(number))
    stack.execute(_SWITCH_ON)
    begins = ["--since", since.isoformat()] if since else []
    for broker in BROKERS:
        series = ("--symbol", symbol, "--timeframe", "1Min", "--calendar", "24/7", *begins)
        _manage(stack, "subscribe", f"sim-{broker}", *series)
    wait_until_feeds_are_up(stack)


def wait_until_feeds_are_up(stack: Stack) -> None:
    names = [f"sim-{broker}" for broker in BROKERS]
    wait_until(lambda: stack.query(_UP, [names]) == [(2,)], "both feeds are up", _PATIENCE_SECONDS)


def fresh_symbol(stack: Stack) -> str:
    """Return a symbol that has no bars on this stack yet."""
    known = {symbol for (symbol,) in stack.query(_SERIES)}
    return next(symbol for symbol in SYMBOLS if symbol not in known)


def switch_feeds_off(stack: Stack) -> None:
    """Leave nothing behind that would be missed in an episode about something else."""
    stack.execute(_SWITCH_OFF)


def untrue_bars(stack: Stack) -> list[str]:
    """Return which recorded bars are not those that the broker they came from keeps."""
    by_symbol: dict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
    for symbol, opened_at, source, *numbers in stack.query(_BARS):
        by_symbol[symbol, source].append((opened_at, tuple(numbers)))
    found = []
    for (symbol, source), rows in by_symbol.items():
        truth = dict(_true_bars(stack, symbol, source, rows[0][0], rows[-1][0]))
        for opened_at, numbers in rows:
            if truth.get(opened_at) != numbers:
                found.append(f"the bar {symbol} {opened_at} of {source} is used and not true: {numbers[3]}")
    return found


def _true_bars(
    stack: Stack, symbol: str, source: str, first: datetime, last: datetime
) -> Iterator[tuple[datetime, tuple[Decimal, ...]]]:
    for bar in stack.true_bars("b" if source == "sim-b" else "a", symbol, first, last):
        yield datetime.fromisoformat(bar["t"]), tuple(Decimal(str(bar[name])) for name in "ohlcv")


def lacking_bars(stack: Stack) -> list[str]:
    """Return what is wrong with what consumers were given: gaps that are not over, bars out of order or given twice.

    A bar that was revised while it waited behind a gap is given first in its later revision.
    """
    found = [f"a gap of {row[0]}" for row in stack.query(_UNFILLED)]
    last: dict[str, datetime] = {}
    given: set[tuple[str, datetime, int]] = set()
    for symbol, opened_at, revision in stack.query(_RELEASED):
        if (symbol, opened_at, revision) in given:
            found.append(f"{symbol} {opened_at} was given to consumers twice")
        is_first = not any((symbol, opened_at, earlier) in given for earlier in range(1, revision))
        if is_first and symbol in last:
            if opened_at < last[symbol]:
                found.append(f"{symbol} {opened_at} was given after a later bar")
            elif opened_at > last[symbol] + MINUTE:
                found.append(f"{symbol} {opened_at} follows {last[symbol]}: consumers lack what is between")
        given.add((symbol, opened_at, revision))
        last[symbol] = max(opened_at, last.get(symbol, opened_at))
    return found


def held_bars(stack: Stack, since: datetime) -> int:
    return int(stack.query(_HELD, [since])[0][0])


def has_bar(stack: Stack, symbol: str, opened_at: datetime) -> bool:
    return bool(stack.query(_HAS_BAR, [symbol, opened_at]))


def is_complete(stack: Stack) -> bool:
    with suppress(OSError):
        return not stack.query(_UNFILLED)
    return False


def _manage(stack: Stack, *arguments: str) -> None:
    with stack.beside("feeds", ["manage.py", "feeds", *arguments]) as child:
        if child.wait(_PATIENCE_SECONDS) != 0:
            raise RuntimeError(f"feeds {arguments[0]} {arguments[1]} failed; see feeds.log")
