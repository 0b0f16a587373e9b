"""The last quotes and trades of a feed in memory: what is new, what cannot be believed, what is learned."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from reconciliation.core.ticks import QUOTE, TRADE, TickBook

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)


def quote(seconds: float, bid: object = "100.1", ask: object = "100.2") -> dict[str, object]:
    return {"timestamp": (NOW + timedelta(seconds=seconds)).isoformat(), "bid": bid, "ask": ask}


def trade(seconds: float, price: object = 100.15, size: object = 3) -> dict[str, object]:
    return {"timestamp": NOW + timedelta(seconds=seconds), "price": price, "size": size}


def test_the_newest_stays_in_whichever_order_they_come() -> None:
    for order in permutations([-3, -2, -1]):
        book = TickBook()
        for seconds in order:
            book.note("S", QUOTE, quote(seconds, bid=100 + seconds), NOW)
        (one,) = book.take_changes()
        assert one.quote is not None
        assert (one.quote.at, one.quote.numbers[0]) == (NOW - timedelta(seconds=1), Decimal(99))
        assert book.take_changes() == []


def test_what_cannot_be_believed_is_counted_and_changes_nothing() -> None:
    book = TickBook()
    book.note("S", TRADE, trade(-9), NOW)
    bad = [
        trade(-1, price=0),
        trade(-1, price=None),
        trade(-1, price="NaN"),
        trade(-1, price=-1),
        trade(-1, size=-1),
        trade(6),
        trade(3600),
        {**trade(-1), "timestamp": "soon"},
    ]
    for given_now in bad:
        book.note("S", TRADE, given_now, NOW)
    (one,) = book.take_changes()
    assert one.trade is not None
    assert one.trade.at == NOW - timedelta(seconds=9)
    assert (one.refused, one.refused_reason) == (len(bad), "timestamp is not an ISO 8601 instant: 'soon'")
    book.note("S", QUOTE, quote(-1, bid=None, ask=None), NOW)
    assert book.take_changes()[0].refused == 1, "each is counted once"


def test_a_quote_without_a_time_is_new_when_it_differs() -> None:
    book = TickBook()
    untimed = {"timestamp": None, "bid": 1, "ask": None}
    book.note("S", QUOTE, untimed, NOW)
    assert len(book.take_changes()) == 1
    book.note("S", QUOTE, untimed, NOW + timedelta(seconds=9))
    assert book.take_changes() == []
    book.note("S", QUOTE, {**untimed, "bid": 2}, NOW + timedelta(seconds=9))
    assert book.take_changes()[0].newest == NOW + timedelta(seconds=9)


def test_a_habit_is_learned_from_quotes_and_trades_together_and_not_from_an_absence_of_the_source() -> None:
    book = TickBook()
    for number in range(101):
        book.note("S", QUOTE, quote(-9000 + 40 * number), NOW)
        book.note("S", TRADE, trade(-8980 + 40 * number), NOW)
        if number == 50:
            book.interrupt()
    assert book.take_changes()[0].habit_seconds == 30
    book.interrupt()
    book.note("S", QUOTE, quote(-1), NOW)
    (one,) = book.take_changes()
    assert max(one.silences) == 20


@given(st.lists(st.tuples(st.sampled_from([QUOTE, TRADE]), st.integers(-5000, 0)), max_size=60))
def test_the_last_of_each_kind_never_goes_back(noted: list[tuple[tuple[str, ...], int]]) -> None:
    book = TickBook()
    for fields, seconds in noted:
        book.note("S", fields, quote(seconds) if fields is QUOTE else trade(seconds), NOW)
    for one in book.take_changes():
        for fields, last in ((QUOTE, one.quote), (TRADE, one.trade)):
            latest = max((seconds for kind, seconds in noted if kind is fields), default=None)
            assert (last is None) == (latest is None)
            assert last is None or last.at == NOW + timedelta(seconds=latest or 0)


def test_the_last_bar_is_the_newest_one() -> None:
    book = TickBook()
    for ago in (3, 1, 2):
        book.note_bar("S", NOW - timedelta(minutes=ago))
    assert book.take_changes()[0].bar_at == NOW - timedelta(minutes=1)
