"""Which account takes an order: the first that can, without swinging to and fro."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from brokers.core.routing import Availability, choose_account

SETTLE = 5.0
READY = Availability(0.0, 3600.0)
BACK = Availability(0.0, 1.0)
OPEN = Availability(12.0, 0.0)

waits = st.floats(0, 60)
routes = st.lists(st.integers(1, 6), min_size=1, max_size=6, unique=True)
sights = st.dictionaries(st.integers(1, 6), st.builds(Availability, st.sampled_from([0.0, 0.5, 30.0]), waits))


def test_the_first_account_is_preferred() -> None:
    assert choose_account([1, 2], {1: READY, 2: READY}, SETTLE) == 1


def test_an_open_account_is_passed_over() -> None:
    assert choose_account([1, 2], {1: OPEN, 2: READY}, SETTLE) == 2


def test_an_account_that_has_just_come_back_is_given_time() -> None:
    assert choose_account([1, 2], {1: BACK, 2: READY}, SETTLE) == 2


def test_without_a_steady_account_the_first_available_one_takes_it() -> None:
    assert choose_account([1, 2], {1: BACK, 2: OPEN}, SETTLE) == 1


def test_nothing_available_chooses_nothing() -> None:
    assert choose_account([1, 2], {1: OPEN, 2: Availability(3.0, 0.0)}, SETTLE) is None


@given(routes, sights)
def test_only_an_available_account_of_the_route_is_chosen(route: list[int], seen: Mapping[int, Availability]) -> None:
    chosen = choose_account(route, seen, SETTLE)
    available = [account for account in route if account in seen and seen[account].wait_seconds <= 0]
    assert (chosen in available) if available else chosen is None
    steady = [account for account in available if seen[account].steady_seconds >= SETTLE]
    if steady:
        assert chosen == steady[0]
