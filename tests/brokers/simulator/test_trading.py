"""The broker's rules as properties, without a process: time, draws and the ledger are arguments."""

import json
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokers.simulator.account import Account
from brokers.simulator.book import Book
from brokers.simulator.entry import cancel_order, replace_order, submit_order
from brokers.simulator.instruments import CATALOGUE
from brokers.simulator.matching import match_tick, part_of
from brokers.simulator.orders import LIMIT_TYPES, STOP_TYPES, OrderType, Side, Status, TimeInForce
from brokers.simulator.prices import PriceWalk
from brokers.simulator.requests import OrderTerms, RefusalError, ReplaceTerms
from brokers.simulator.trading import run_tick
from brokers.simulator.venue import Venue, VenueRules

STARTING_CASH = Decimal(100_000)
SYMBOLS = ("AAPL", "KO")
FEW = settings(max_examples=40, deadline=None)
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Bench:
    """A venue with a hand-moved clock, its ledger and what it published."""

    def __init__(self, seed=7, **rules):
        self.time = START
        self.lines = []
        self.events = []
        self.venue = Venue(
            book=Book(Account(STARTING_CASH)),
            instruments={symbol: CATALOGUE[symbol] for symbol in SYMBOLS},
            walks={symbol: PriceWalk(CATALOGUE[symbol], seed, 0.002) for symbol in SYMBOLS},
            rules=VenueRules(**rules),
            draws=random.Random(seed),
            clock=lambda: self.time,
            write=lambda record: self.lines.append(json.dumps(record)),
            publish=lambda event: self.events.append((event.name, event.order.id)),
        )

    def tick(self, times=1):
        for _ in range(times):
            self.time += timedelta(milliseconds=50)
            run_tick(self.venue)

    def submit(self, **fields):
        return submit_order(self.venue, terms(**fields), request_id=1)


def terms(**fields):
    defaults = {
        "symbol": "AAPL",
        "side": Side.BUY,
        "type": OrderType.MARKET,
        "time_in_force": TimeInForce.DAY,
        "quantity": Decimal(10),
        "notional": None,
        "limit_price": None,
        "stop_price": None,
        "extended_hours": False,
        "position_intent": None,
        "client_order_id": None,
    }
    return OrderTerms(**(defaults | fields))


@st.composite
def order_terms(draw):
    kind = draw(st.sampled_from(OrderType))
    price = st.decimals("40", "300", places=2)
    return terms(
        symbol=draw(st.sampled_from(SYMBOLS)),
        side=draw(st.sampled_from(Side)),
        type=kind,
        time_in_force=draw(st.sampled_from(TimeInForce)),
        quantity=draw(st.integers(1, 200).map(Decimal) | st.decimals("0.001", "50", places=3)),
        limit_price=draw(price) if kind in LIMIT_TYPES else None,
        stop_price=draw(price) if kind in STOP_TYPES else None,
        client_order_id=draw(st.none() | st.sampled_from(["a", "b", "c"])),
    )


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), order_terms()),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
        st.tuples(st.just("replace"), st.integers(0, 20)),
        st.tuples(st.just("tick"), st.integers(1, 5)),
    ),
    max_size=40,
)


def play(bench, actions):
    """Do what a client and time might do; refusals are part of life."""
    for action, detail in actions:
        with suppress(RefusalError):
            act(bench, action, detail)


def act(bench, action, detail):
    orders = bench.venue.book.orders
    if action == "tick":
        bench.tick(detail)
    elif action == "submit":
        submit_order(bench.venue, detail, request_id=1)
    elif orders and action == "cancel":
        cancel_order(bench.venue, orders[detail % len(orders)])
    elif orders:
        replacement = ReplaceTerms(Decimal(detail + 1), None, None, None, None)
        replace_order(bench.venue, orders[detail % len(orders)], replacement, request_id=1)


@FEW
@given(ACTIONS, st.integers(0, 1000), st.booleans())
def test_cash_and_positions_are_what_the_fills_make_of_them(actions, seed, allow_short):
    bench = Bench(seed, allow_short=allow_short)

    play(bench, actions)

    book = bench.venue.book
    signed = [(f.symbol, f.quantity if f.side is Side.BUY else -f.quantity, f.price) for f in book.fills]
    assert book.account.cash == STARTING_CASH - sum(quantity * price for _, quantity, price in signed)
    for symbol in SYMBOLS:
        assert book.account.quantity_of(symbol) == sum(q for s, q, _ in signed if s == symbol)


@FEW
@given(ACTIONS, st.integers(0, 1000))
def test_no_order_fills_more_than_it_asked_for_or_beyond_its_limit(actions, seed):
    bench = Bench(seed)

    play(bench, actions)

    for order in bench.venue.book.orders:
        fills = [fill for fill in bench.venue.book.fills if fill.order_id == order.id]
        assert order.filled_quantity == sum(fill.quantity for fill in fills) <= order.quantity
        assert (order.status is Status.FILLED) == (order.leaves_quantity == 0)
        for fill in fills if order.limit_price is not None else []:
            within = fill.price <= order.limit_price if order.side is Side.BUY else fill.price >= order.limit_price
            assert within


@FEW
@given(ACTIONS, st.integers(0, 1000))
def test_without_shorting_nothing_is_sold_that_is_not_held(actions, seed):
    bench = Bench(seed)

    play(bench, actions)

    assert all(position.quantity > 0 for position in bench.venue.book.account.positions.values())


@FEW
@given(ACTIONS, st.integers(0, 1000))
def test_open_orders_hold_exactly_what_they_may_still_take(actions, seed):
    bench = Bench(seed, allow_short=True)
    play(bench, actions)
    bench.tick()

    for order in [order for order in bench.venue.book.orders if not order.is_final]:
        cancel_order(bench.venue, order)
    bench.tick()

    account = bench.venue.book.account
    assert bench.venue.book.open_count() == 0
    assert account.reserved_cash == 0
    assert not any(account.held_quantities.values())


@FEW
@given(ACTIONS, st.integers(0, 1000))
def test_replaying_the_ledger_rebuilds_the_same_book(actions, seed):
    bench = Bench(seed)
    play(bench, actions)

    replayed = Book(Account(STARTING_CASH))
    for line in bench.lines:
        replayed.apply(json.loads(line))

    assert replayed == bench.venue.book


@FEW
@given(ACTIONS, st.integers(0, 1000))
def test_the_same_seed_and_actions_give_the_same_fills(actions, seed):
    first, second = Bench(seed), Bench(seed)

    play(first, actions)
    play(second, actions)

    prices = [[(fill.quantity, fill.price) for fill in bench.venue.book.fills] for bench in (first, second)]
    assert prices[0] == prices[1]


@FEW
@given(ACTIONS, st.integers(0, 1000))
def test_activity_ids_are_unique_and_sort_as_they_happened(actions, seed):
    bench = Bench(seed)

    play(bench, actions)

    ids = [fill.activity_id for fill in bench.venue.book.fills]
    assert ids == sorted(set(ids))


@given(st.decimals("0.001", "1000", places=3), st.floats(0, 1, exclude_max=True))
def test_a_part_is_more_than_nothing_and_no_more_than_all(quantity, share):
    assert 0 < part_of(quantity, share) <= quantity


@given(st.lists(st.integers(1, 500), min_size=1, max_size=8), st.integers(1, 600))
def test_a_tick_trades_no_more_than_its_liquidity(quantities, liquidity):
    bench = Bench()
    bench.venue.book.account.cash = Decimal(10**9)
    orders = [bench.submit(quantity=Decimal(quantity)) for quantity in quantities]

    executions = list(match_tick(orders, bench.venue.walks["AAPL"].quote, Decimal(liquidity), random.random, 0.3))

    assert sum(execution.quantity for execution in executions) <= liquidity


def test_a_large_order_fills_in_parts_over_several_ticks():
    bench = Bench(liquidity=Decimal(40))
    order = bench.submit(quantity=Decimal(100))

    bench.tick(20)

    assert order.status is Status.FILLED
    assert len(bench.venue.book.fills) > 2


def test_fill_or_kill_takes_all_or_nothing():
    bench = Bench(liquidity=Decimal(40))
    too_large = bench.submit(quantity=Decimal(100), time_in_force=TimeInForce.FOK)
    small = bench.submit(quantity=Decimal(10), time_in_force=TimeInForce.FOK)

    bench.tick()

    assert (too_large.status, too_large.filled_quantity) == (Status.CANCELED, 0)
    assert small.status is Status.FILLED


def test_immediate_or_cancel_keeps_what_it_got():
    bench = Bench(liquidity=Decimal(40))
    order = bench.submit(quantity=Decimal(100), time_in_force=TimeInForce.IOC)

    bench.tick()

    assert order.status is Status.CANCELED
    assert 0 < order.filled_quantity < 100


def test_a_fill_beats_a_cancel_that_comes_in_the_same_tick():
    bench = Bench(partial_probability=0)
    order = bench.submit()
    cancel_order(bench.venue, order)

    bench.tick()

    assert order.status is Status.FILLED


def test_a_replacement_that_loses_to_a_fill_is_rejected():
    bench = Bench(partial_probability=0)
    order = bench.submit()
    new = replace_order(bench.venue, order, ReplaceTerms(Decimal(20), None, None, None, None), request_id=2)

    bench.tick()

    assert (order.status, new.status, new.filled_quantity) == (Status.FILLED, Status.REJECTED, 0)
    assert ("order_replace_rejected", order.id) in bench.events


def test_a_replacement_asks_for_the_full_quantity_again_as_alpaca_does():
    bench = Bench(liquidity=Decimal(10))
    old = bench.submit(type=OrderType.LIMIT, limit_price=Decimal(1))
    bench.venue.fill(old, Decimal(4), Decimal(1))

    new = replace_order(bench.venue, old, ReplaceTerms(None, Decimal(2), None, None, None), request_id=2)
    bench.tick()

    assert (old.status, new.status, new.quantity, new.filled_quantity) == (Status.REPLACED, Status.NEW, 10, 0)


def test_a_replacing_sell_that_is_no_longer_covered_is_rejected():
    bench = Bench(partial_probability=0)
    bench.submit(quantity=Decimal(10))
    bench.tick()
    old = bench.submit(side=Side.SELL, type=OrderType.LIMIT, limit_price=Decimal(10_000))
    new = replace_order(bench.venue, old, ReplaceTerms(None, Decimal(9_000), None, None, None), request_id=2)
    bench.venue.fill(old, Decimal(4), Decimal(10_000))

    bench.tick()

    assert (old.status, new.status) == (Status.REPLACED, Status.REJECTED)
    assert bench.venue.book.account.quantity_of("AAPL") == 6


def test_a_day_order_expires_when_the_day_ends():
    bench = Bench()
    day = bench.submit(type=OrderType.LIMIT, limit_price=Decimal(1))
    lasting = bench.submit(type=OrderType.LIMIT, limit_price=Decimal(1), time_in_force=TimeInForce.GTC)

    bench.time += timedelta(hours=15)
    bench.tick()

    assert (day.status, lasting.status) == (Status.EXPIRED, Status.NEW)


def test_selling_more_than_is_held_needs_permission():
    with pytest.raises(RefusalError) as refusal:
        Bench().submit(side=Side.SELL)
    assert refusal.value.body["available"] == "0"

    bench = Bench(allow_short=True, partial_probability=0)
    bench.submit(side=Side.SELL)
    bench.tick()
    assert bench.venue.book.account.quantity_of("AAPL") == -10


def test_the_clock_stepping_back_does_not_reorder_history():
    bench = Bench(partial_probability=0)
    first = bench.submit()
    bench.time -= timedelta(minutes=5)

    second = bench.submit()

    assert second.submitted_at >= first.submitted_at
