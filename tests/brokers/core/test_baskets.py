"""Taking a leg back: nothing before it is settled, never more than filled, never without consent."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from brokers.core.baskets import OrderProgress, TakeBack, next_undo
from brokers.core.orders import OrderState

amounts = st.integers(0, 5).map(Decimal)
progress = st.builds(OrderProgress, st.sampled_from(OrderState), amounts, amounts, st.booleans())
offsets_of = st.lists(progress, max_size=3)


@given(progress, offsets_of, st.booleans(), st.integers(1, 3))
def test_nothing_is_offset_before_everything_is_settled_nor_without_consent(
    leg: OrderProgress, offsets: list[OrderProgress], may_offset: bool, rounds: int
) -> None:
    move = next_undo(leg, offsets, may_offset=may_offset, rounds=rounds)
    if move.what is TakeBack.OFFSET:
        assert may_offset
        assert all(order.is_settled for order in (leg, *offsets))
        assert move.quantity + sum(offset.filled for offset in offsets) == leg.filled


@given(progress, offsets_of, st.booleans(), st.integers(1, 3))
def test_a_leg_is_taken_back_only_when_nothing_of_it_is_left(
    leg: OrderProgress, offsets: list[OrderProgress], may_offset: bool, rounds: int
) -> None:
    move = next_undo(leg, offsets, may_offset=may_offset, rounds=rounds)
    if move.what is TakeBack.NOTHING:
        assert all(order.is_settled for order in (leg, *offsets))
        assert leg.filled == sum(offset.filled for offset in offsets)


@given(progress)
def test_an_open_leg_is_canceled_once_and_then_waited_for(leg: OrderProgress) -> None:
    if not leg.is_settled:
        move = next_undo(leg, [], may_offset=True, rounds=1)
        assert move.what in (TakeBack.CANCEL, TakeBack.WAIT)
        assert (move.what is TakeBack.CANCEL) <= (not leg.cancel_pending)


def test_a_leg_that_was_never_accepted_has_nothing_to_take_back() -> None:
    assert next_undo(None, [], may_offset=True, rounds=1).what is TakeBack.NOTHING
