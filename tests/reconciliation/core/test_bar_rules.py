"""Which bars cannot be believed."""

import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.core.bar_rules import BarFault, scan_faults, shape_faults
from reconciliation.core.bars import Bar, BarValues
from tests.reconciliation.market import make_odd, walk


def values(*numbers: object) -> BarValues:
    return BarValues(*(Decimal(str(number)) for number in numbers))


def test_of_three_thousand_odd_but_true_bars_at_most_one_in_a_thousand_is_rejected():
    draw = random.Random(7)
    odd = rejected = 0
    while odd < 3000:
        bars = walk(draw, 120, price=draw.choice([0.6, 30.0, 100.0, 4000.0]))
        places = {bars[place].stamp for place in make_odd(draw, bars)}
        judged = scan_faults(Bar(one.stamp, values(*one.numbers)) for one in bars)
        rejected += sum(bool(faults) for bar, faults in judged if bar.stamp in places)
        odd += len(places)

    assert rejected <= odd / 1000


@given(st.lists(st.floats(0.01, 1e6), min_size=4, max_size=4), st.floats(0, 1e9))
def test_any_four_prices_with_the_highest_and_lowest_in_place_have_proper_shape(prices, volume):
    low, first, second, high = sorted(prices)

    assert shape_faults(values(first, high, low, second, volume)) == []


@pytest.mark.parametrize(
    ("numbers", "fault"),
    [
        ((10, 9, 8, 9, 1), BarFault.HIGH_TOO_LOW),
        ((10, 12, 10.5, 11, 1), BarFault.LOW_TOO_HIGH),
        ((10, 12, 0, 11, 1), BarFault.NOT_POSITIVE),
        ((10, 12, 9, 11, -1), BarFault.NEGATIVE_VOLUME),
        ((10, 12, 9, "NaN", 1), BarFault.NOT_FINITE),
        ((10, "Infinity", 9, 11, 1), BarFault.NOT_FINITE),
    ],
)
def test_impossible_bars_have_the_fault_named(numbers, fault):
    assert fault in shape_faults(values(*numbers))


def first(*bars: tuple[object, ...]) -> list[list[BarFault]]:
    return [faults for _, faults in scan_faults(Bar(60 * place, values(*one)) for place, one in enumerate(bars))]


def test_the_first_bar_is_judged_by_its_own_prices_and_the_next_bar():
    good = (100, 101, 99, 100, 10)
    assert first(good, (*good[:4], 11)) == [[], []]
    assert first((100, 1000, 99, 100, 10), good) == [[BarFault.WICK], []]
    assert first((1000, 1010, 990, 1000, 10), good, (*good[:4], 12)) == [[BarFault.EXTREME], [], []]
    assert first(good) == [[]]


def test_a_bar_that_is_itself_impossible_confirms_no_price_before_it():
    bars = [Bar(one.stamp, values(*one.numbers)) for one in walk(random.Random(3), 43)]

    def times(bar: Bar, factor: str) -> Bar:
        prices = (bar.values.open, bar.values.high, bar.values.low, bar.values.close)
        return Bar(bar.stamp, BarValues(*(price * Decimal(factor) for price in prices), bar.values.volume))

    told = [*bars[:40], times(bars[40], "1.3"), times(bars[41], "10"), bars[42]]
    assert [faults for _, faults in scan_faults(told)][40:42] == [[BarFault.UNCONFIRMED], [BarFault.EXTREME]]
