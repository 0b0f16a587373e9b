"""What reduces a position, and how exposures add up."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from brokers.core.exposure import Exposure, Pending, PendingKind, SymbolExposure, add_up, provably_reduces
from brokers.core.orders import Side

AMOUNTS = st.decimals(0, 1000, places=2)


@given(st.decimals(-1000, 1000, places=2), AMOUNTS, AMOUNTS, st.sampled_from(Side), AMOUNTS, st.data())
def test_what_reduces_never_turns_a_position_whatever_fills(
    held: Decimal, buying: Decimal, selling: Decimal, side: Side, quantity: Decimal, data: st.DataObject
) -> None:
    """The pending orders of the same side, and the order itself, may each fill to any part."""
    if not provably_reduces(Exposure(held, buying, selling), side, quantity):
        return
    pending = buying if side is Side.BUY else selling
    filled = data.draw(st.decimals(0, pending, places=2)) + data.draw(st.decimals(0, quantity, places=2))
    after = held + filled if side is Side.BUY else held - filled

    assert abs(after) <= abs(held)
    assert after == 0 or (after > 0) == (held > 0)


@given(st.decimals("0.01", 1000, places=2), st.sampled_from(Side), AMOUNTS)
def test_an_order_as_large_as_what_is_left_of_the_position_reduces_it(held: Decimal, side: Side, more: Decimal) -> None:
    signed = -held if side is Side.BUY else held
    none, nobody_can_say = Decimal(0), None

    assert provably_reduces(Exposure(signed, none, none), side, held)
    assert not provably_reduces(Exposure(signed, none, none), side, held + Decimal("0.01") + more)
    assert not provably_reduces(Exposure(signed, nobody_can_say, nobody_can_say), side, held)
    assert not provably_reduces(Exposure(signed, none, none), side, None)
    assert not provably_reduces(Exposure(-signed, none, none), side, held)


PENDING = st.lists(
    st.builds(Pending, st.sampled_from(Side), st.sampled_from(PendingKind), st.just(1), AMOUNTS, AMOUNTS), max_size=6
)


@given(st.decimals(-1000, 1000, places=2), PENDING, st.data())
def test_whatever_the_orders_fill_the_position_stays_within_the_worst_cases(
    held: Decimal, pending: list[Pending], data: st.DataObject
) -> None:
    exposure = SymbolExposure(1, "desk", "AAPL", held, Decimal(0), tuple(pending))
    assert exposure.worst_long is not None
    assert exposure.worst_short is not None
    after = held
    for part in pending:
        filled = data.draw(st.decimals(0, part.quantity or Decimal(0), places=2))
        after += filled if part.side is Side.BUY else -filled

    assert exposure.worst_short <= after <= exposure.worst_long


def test_what_nobody_knows_makes_the_sum_unknown_on_its_side_alone() -> None:
    by_money = Pending(Side.BUY, PendingKind.OPEN, 1, None, Decimal(500))
    exposure = SymbolExposure(1, "desk", "AAPL", Decimal(3), Decimal(0), (by_money,))

    assert (exposure.worst_long, exposure.worst_short) == (None, Decimal(3))
    assert add_up([Decimal(1), None]) is None
    assert add_up([]) == 0
