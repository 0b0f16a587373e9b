"""Reading executions per symbol: each once, in order, whatever was read before and no longer fits the cursor."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.adapters.ccxt.errors import ParseError
from brokers.adapters.ccxt.fills import CURSOR_MAX, FillReader, TradePage, decode_cursor, encode_cursor, place_of
from brokers.core.orders import Side
from brokers.core.reports import FillReport

START = datetime(2026, 1, 2, tzinfo=UTC)
SYMBOLS = [
    f"{base}/USDT" for base in ("BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "DOT", "LINK", "AVAX", "MATIC", "LTC")
]

trades = st.lists(
    st.tuples(st.sampled_from(SYMBOLS), st.integers(0, 5000), st.integers(1, 10**10)),
    max_size=40,
    unique_by=lambda trade: (trade[0], trade[2]),
)


def fill(symbol, at_ms, number):
    return FillReport(
        execution_id=f"{symbol}:{number}",
        broker_order_id=f"{symbol}:1",
        symbol=symbol,
        side=Side.BUY,
        quantity=Decimal(1),
        price=Decimal(1),
        executed_at=START + timedelta(milliseconds=at_ms),
    )


class Exchange:
    """Lists trades per symbol, oldest first, so many at once."""

    def __init__(self, fills, size=3):
        self.fills = sorted(fills, key=place_of)
        self.size = size

    async def read_page(self, key, place):
        after = [one for one in self.fills if one.symbol == key and (place is None or place_of(one) > place)]
        return TradePage(tuple(after[: self.size]), is_last=len(after) <= self.size)


def read(reader, exchange, cursor):
    return asyncio.run(reader.read(cursor, SYMBOLS, exchange.read_page))


def names(page):
    return [one.execution_id for one in page.fills]


@given(trades)
def test_every_execution_is_read_once_and_in_order(rows):
    fills = [fill(*row) for row in rows]

    page = read(FillReader(), Exchange(fills), "")

    assert sorted(names(page)) == sorted(one.execution_id for one in fills)
    assert [place_of(one) for one in page.fills] == sorted(place_of(one) for one in fills)
    assert len(page.cursor) <= CURSOR_MAX


@given(trades, st.integers(0, 40))
def test_reading_on_from_any_execution_brings_exactly_what_is_behind_it(rows, position):
    exchange, reader = Exchange([fill(*row) for row in rows]), FillReader()
    first = read(reader, exchange, "")
    position = min(position, len(first.fills))
    cursor = first.fills[position - 1].cursor if position else ""

    rest = read(reader, exchange, cursor)

    assert names(rest) == names(first)[position:]
    assert read(reader, exchange, rest.cursor).fills == ()


@given(trades, trades)
def test_another_process_misses_nothing_although_it_may_read_twice(rows, later):
    fills = [fill(*row) for row in rows]
    seen = read(FillReader(), Exchange(fills), "")
    known = {one.execution_id for one in fills}
    fresh = [fill(symbol, 5001 + at, number) for symbol, at, number in later if f"{symbol}:{number}" not in known]

    page = read(FillReader(), Exchange([*fills, *fresh]), seen.cursor)

    assert {one.execution_id for one in fresh} <= set(names(page))
    assert len(set(names(page))) == len(page.fills)


@given(st.dictionaries(st.sampled_from(SYMBOLS), st.tuples(st.integers(0, 2**41), st.integers(1, 10**10))))
def test_a_cursor_holds_the_latest_places_that_fit(rows):
    places = {symbol: (at, len(str(number)), str(number)) for symbol, (at, number) in rows.items()}

    text = encode_cursor(places)
    kept = decode_cursor(text)

    assert len(text) <= CURSOR_MAX
    assert list(kept.items()) == list(places.items())[len(places) - len(kept) :]
    assert len(kept) == len(places) or len(text) > CURSOR_MAX - 40


@pytest.mark.parametrize("text", ["BTC/USDT", "BTC/USDT=", "BTC/USDT=zz", "BTC/USDT=?.1", "20260101::uuid"])
def test_what_is_no_cursor_is_refused_and_not_read_from_the_beginning(text):
    with pytest.raises(ParseError):
        decode_cursor(text)


def test_a_full_page_without_anything_new_is_an_error_and_no_end():
    async def stuck(key, place):
        return TradePage((fill("BTC/USDT", 1, 1),), is_last=False)

    with pytest.raises(ParseError):
        asyncio.run(FillReader().read("", ["BTC/USDT"], stuck))
