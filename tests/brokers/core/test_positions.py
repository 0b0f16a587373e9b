"""Positions: nothing appears or vanishes, whatever is bought and sold in whatever order."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from brokers.core.orders import Side
from brokers.core.positions import PositionFacts, apply_fill

FLAT = PositionFacts(Decimal(0), Decimal(0), Decimal(0))
QUANTITIES = st.integers(1, 10**9).map(lambda units: Decimal(units) / 10**4)
PRICES = st.integers(1, 10**8).map(lambda cents: Decimal(cents) / 100)
FILLS = st.lists(st.tuples(st.sampled_from(Side), QUANTITIES, PRICES), max_size=30)
Fills = list[tuple[Side, Decimal, Decimal]]


def book(fills: Fills) -> PositionFacts:
    position = FLAT
    for side, quantity, price in fills:
        position = apply_fill(position, side, quantity, price)
    return position


def signed(side: Side, quantity: Decimal) -> Decimal:
    return quantity if side is Side.BUY else -quantity


def rounding(fills: Fills) -> Decimal:
    """The average price has 12 decimal places: at most half of the last one is lost per unit and fill."""
    return sum((quantity for _, quantity, _ in fills), Decimal(1)) * (len(fills) + 1) * Decimal("1e-12")


@given(FILLS)
def test_the_quantity_is_what_was_bought_less_what_was_sold(fills: Fills) -> None:
    assert book(fills).quantity == sum((signed(side, quantity) for side, quantity, _ in fills), Decimal(0))


@given(FILLS)
def test_profit_and_position_at_cost_add_up_to_the_cash_that_flowed(fills: Fills) -> None:
    position = book(fills)
    cash = sum((-signed(side, quantity) * price for side, quantity, price in fills), Decimal(0))

    assert abs(cash + position.quantity * position.average_price - position.realized_profit) <= rounding(fills)


@given(FILLS)
def test_a_flat_position_has_no_price_and_an_open_one_has(fills: Fills) -> None:
    position = book(fills)
    assert (position.quantity == 0) == (position.average_price == 0)
    assert position.average_price >= 0


@given(FILLS, st.sampled_from(Side), QUANTITIES, PRICES)
def test_adding_to_a_position_realizes_nothing(fills: Fills, side: Side, quantity: Decimal, price: Decimal) -> None:
    before = book(fills)
    after = apply_fill(before, side, quantity, price)
    if before.quantity == 0 or (before.quantity > 0) == (side is Side.BUY):
        assert after.realized_profit == before.realized_profit
        low, high = sorted((before.average_price, price)) if before.quantity else (price, price)
        assert low - Decimal("1e-12") <= after.average_price <= high + Decimal("1e-12")


@given(QUANTITIES, QUANTITIES, PRICES, PRICES)
def test_crossing_zero_opens_the_other_side_at_the_new_price(
    held: Decimal, extra: Decimal, bought_at: Decimal, sold_at: Decimal
) -> None:
    position = book([(Side.BUY, held, bought_at), (Side.SELL, held + extra, sold_at)])

    assert position == PositionFacts(-extra, sold_at, held * (sold_at - bought_at))


@given(FILLS)
def test_the_mirrored_fills_give_the_mirrored_position(fills: Fills) -> None:
    mirrored = [(Side.SELL if side is Side.BUY else Side.BUY, quantity, price) for side, quantity, price in fills]
    one, other = book(fills), book(mirrored)
    assert (one.quantity, one.average_price, one.realized_profit) == (
        -other.quantity,
        other.average_price,
        -other.realized_profit,
    )
