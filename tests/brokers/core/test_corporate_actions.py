"""Splits, new symbols and corrections keep what they must: what was paid, and what was realized."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.core.corporate_actions import CashEntryKind, SplitRatio, adjust, cash_problem, merge, split
from brokers.core.positions import PositionFacts

numbers = st.decimals(Decimal("0.01"), Decimal(10_000), places=2)
quantities = st.decimals(Decimal(-1000), Decimal(1000), places=3)
ratios = st.builds(SplitRatio, st.integers(1, 20).map(Decimal), st.integers(1, 20).map(Decimal))


@given(quantities, numbers, ratios)
def test_a_split_keeps_what_was_paid_in_all(quantity: Decimal, price: Decimal, ratio: SplitRatio) -> None:
    before = PositionFacts(quantity, price, Decimal(5))
    after = split(before, ratio)

    assert abs(after.quantity * after.average_price - quantity * price) < Decimal("0.000001")
    assert after.realized_profit == 5


@given(quantities, numbers, ratios)
def test_a_split_and_its_reverse_give_the_same_position(quantity: Decimal, price: Decimal, ratio: SplitRatio) -> None:
    back = split(split(PositionFacts(quantity, price, Decimal(0)), ratio), SplitRatio(ratio.old, ratio.new))

    assert abs(back.quantity - quantity) < Decimal("0.000000001")
    assert abs(back.average_price - price) < Decimal("0.000000001")


@given(quantities, numbers, quantities, numbers)
def test_merged_positions_hold_the_sum(one: Decimal, price: Decimal, other: Decimal, second: Decimal) -> None:
    merged = merge(PositionFacts(one, price, Decimal(1)), PositionFacts(other, second, Decimal(2)))

    assert (merged.quantity, merged.realized_profit) == (one + other, 3)
    if one * other > 0:
        assert abs(merged.quantity * merged.average_price - one * price - other * second) < Decimal("0.000001")
    assert merged.average_price >= 0


def test_an_adjustment_realizes_nothing_and_holding_nothing_costs_nothing() -> None:
    held = PositionFacts(Decimal(10), Decimal(100), Decimal(7))

    assert adjust(held, Decimal(4), None) == PositionFacts(Decimal(4), Decimal(100), Decimal(7))
    assert adjust(held, Decimal(4), Decimal(90)) == PositionFacts(Decimal(4), Decimal(90), Decimal(7))
    assert adjust(held, Decimal(0), Decimal(90)) == PositionFacts(Decimal(0), Decimal(0), Decimal(7))


@pytest.mark.parametrize(("new", "old"), [("0", "1"), ("1", "0"), ("-2", "1"), ("NaN", "1"), ("1", "Infinity")])
def test_a_split_by_nothing_is_none(new: str, old: str) -> None:
    with pytest.raises(ValueError, match="above 0"):
        SplitRatio(Decimal(new), Decimal(old))


@pytest.mark.parametrize(
    ("kind", "amount", "is_wrong"),
    [
        (CashEntryKind.DIVIDEND, 5, False),
        (CashEntryKind.DIVIDEND, -5, True),
        (CashEntryKind.FEE, -5, False),
        (CashEntryKind.FEE, 5, True),
        (CashEntryKind.INTEREST, -5, False),
        (CashEntryKind.ADJUSTMENT, 0, True),
    ],
)
def test_an_amount_has_the_sign_of_its_kind(kind: CashEntryKind, amount: int, is_wrong: bool) -> None:
    assert bool(cash_problem(kind, Decimal(amount))) is is_wrong
