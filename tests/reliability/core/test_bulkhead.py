"""Places: never more taken than there are, and some only for orders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core.bulkhead import BulkheadLimit
from reliability.core.rate_limit import Priority

LIMITS = st.builds(BulkheadLimit, st.integers(1, 500), st.floats(0, 0.99))


@given(LIMITS, st.lists(st.sampled_from(list(Priority)), max_size=600))
def test_places_are_never_overfilled_and_a_share_stays_for_critical_calls(
    limit: BulkheadLimit, arrivals: list[Priority]
) -> None:
    occupied = normal = 0
    for priority in arrivals:
        if limit.admits(occupied, priority):
            occupied += 1
            normal += priority is Priority.NORMAL

    assert occupied <= limit.concurrent
    assert normal <= limit.open_to_all
    assert limit.admits(0, Priority.NORMAL), "other work gets at least one place"


@given(LIMITS, st.integers(0, 600))
def test_whoever_lets_other_work_in_lets_orders_in(limit: BulkheadLimit, occupied: int) -> None:
    assert limit.admits(occupied, Priority.NORMAL) <= limit.admits(occupied, Priority.CRITICAL)


@pytest.mark.parametrize(
    ("concurrent", "reserve", "open_to_all"), [(10, 0.2, 8), (10, 0.25, 7), (10, 0.0, 10), (2, 0.9, 1), (1, 0.0, 1)]
)
def test_the_reserve_is_rounded_up_and_leaves_one_place(concurrent: int, reserve: float, open_to_all: int) -> None:
    limit = BulkheadLimit(concurrent, reserve)
    assert limit.open_to_all == limit.places(Priority.NORMAL) == open_to_all
    assert limit.places(Priority.CRITICAL) == concurrent
    assert [limit.admits(open_to_all + more, Priority.NORMAL) for more in (-1, 0)] == [True, False]
    assert [limit.admits(concurrent + more, Priority.CRITICAL) for more in (-1, 0)] == [True, False]


def test_a_fifth_of_the_places_is_reserved_unless_said_otherwise() -> None:
    assert BulkheadLimit(10).open_to_all == 8


@given(LIMITS, st.integers(1, 100))
def test_each_share_is_the_even_part_with_the_same_reserve(limit: BulkheadLimit, processes: int) -> None:
    share = limit.share(processes)
    assert share == BulkheadLimit(max(1, limit.concurrent // processes), limit.reserve)
    assert share.concurrent >= 1


@given(LIMITS, st.integers(1, 100))
def test_shares_add_up_to_the_whole_or_to_one_each(limit: BulkheadLimit, processes: int) -> None:
    assert limit.share(processes).concurrent * processes <= max(limit.concurrent, processes)


@pytest.mark.parametrize(("concurrent", "reserve"), [(0, 0.2), (1, 1.0), (1, -0.1)])
def test_a_limit_without_sense_is_refused(concurrent: int, reserve: float) -> None:
    with pytest.raises(ValueError):
        BulkheadLimit(concurrent, reserve)


KEPT = BulkheadLimit(10, kept=(("sending", 2), ("asking", 1)))


@pytest.mark.parametrize(
    ("priority", "group", "places"),
    [
        (Priority.HIGH, "sending", 9),
        (Priority.CRITICAL, "asking", 8),
        (Priority.CRITICAL, "", 7),
        (Priority.NORMAL, "", 7),
    ],
)
def test_places_that_are_kept_are_nobody_elses(priority: Priority, group: str, places: int) -> None:
    assert KEPT.places(priority, group) == places
    assert sum(most for _, most in KEPT.zones(priority, group)) == places


@pytest.mark.parametrize("kept", [(("a", 2), ("b", 2)), (("a", -1),)])
def test_more_kept_than_there_is_or_less_than_nothing_is_refused(kept: tuple[tuple[str, int], ...]) -> None:
    with pytest.raises(ValueError, match="kept"):
        BulkheadLimit(4, kept=kept)


def test_a_zone_is_the_groups_own_or_everybodys() -> None:
    limit = BulkheadLimit(10, 0.2, kept=(("orders", 3), ("nobody", 0)))
    assert limit.zones(Priority.NORMAL, "orders") == (("orders", 3), ("", 7))
    assert limit.zones(Priority.NORMAL, "nobody") == (("", 7),)
    assert BulkheadLimit(10, 0.5, kept=(("orders", 1),)).zones(Priority.NORMAL, "") == (("", 5),)
    assert BulkheadLimit(10, 0.5, kept=(("orders", 1),)).zones(Priority.CRITICAL, "") == (("", 9),)
