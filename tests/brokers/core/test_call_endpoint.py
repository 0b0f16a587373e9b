"""Where calls go, from what each address answers."""

from hypothesis import given
from hypothesis import strategies as st

from brokers.core.call_endpoint import CallEndpoint
from brokers.core.streams import Endpoint

PRIMARY, BACKUP = Endpoint.PRIMARY, Endpoint.BACKUP


def test_calls_leave_an_address_that_does_not_answer_at_once_and_come_back_after_a_while() -> None:
    choice = CallEndpoint()
    assert choice.decide(primary=False, backup=True, now=0.0) is BACKUP
    assert choice.decide(primary=True, backup=True, now=1.0) is BACKUP
    assert choice.decide(primary=False, backup=True, now=2.0) is BACKUP
    assert choice.decide(primary=True, backup=True, now=3.0) is BACKUP
    assert choice.decide(primary=True, backup=True, now=7.9) is BACKUP
    assert choice.decide(primary=True, backup=True, now=8.0) is PRIMARY


def test_without_an_answer_anywhere_nothing_moves() -> None:
    choice = CallEndpoint()
    assert choice.decide(primary=False, backup=False, now=0.0) is PRIMARY


def test_the_first_one_is_better_than_one_that_does_not_answer() -> None:
    choice = CallEndpoint()
    choice.decide(primary=False, backup=True, now=0.0)
    assert choice.decide(primary=True, backup=False, now=0.1) is PRIMARY


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0.1, 3.0)), max_size=40))
def test_calls_go_where_an_answer_came_from_if_any_did(steps: list[tuple[bool, bool, float]]) -> None:
    choice, now = CallEndpoint(), 0.0
    for primary, backup, seconds in steps:
        now += seconds
        chosen = choice.decide(primary=primary, backup=backup, now=now)
        assert {PRIMARY: primary, BACKUP: backup}[chosen] or not (primary or backup)
