"""The order lifecycle: final is final for us, and evidence only moves forward."""

from itertools import product

import pytest

from brokers.core.orders import (
    FINAL_STATES,
    OPEN_STATES,
    OWN_TRANSITIONS,
    STATE_RANK,
    OrderState,
    may_move,
)
from brokers.core.reports import ReportedStatus

PAIRS = list(product(OrderState, OrderState))


def test_we_never_move_an_order_out_of_a_final_state_ourselves() -> None:
    assert [move for move in OWN_TRANSITIONS if move[0] in FINAL_STATES] == []


def test_we_never_claim_what_only_the_broker_can_say() -> None:
    said_by_broker = {status.state for status in ReportedStatus}
    before_sending = {(OrderState.ACCEPTED, OrderState.CANCELED), (OrderState.ACCEPTED, OrderState.REPLACED)}
    assert [move for move in OWN_TRANSITIONS - before_sending if move[1] in said_by_broker] == []


def test_only_what_was_never_at_the_broker_is_canceled_by_us() -> None:
    sources = {current for current, target in OWN_TRANSITIONS if target is OrderState.CANCELED}
    assert sources == {OrderState.ACCEPTED}


def test_ranks_are_a_total_order_so_that_evidence_commutes() -> None:
    assert len(set(STATE_RANK.values())) == len(OrderState)


@pytest.mark.parametrize("status", ReportedStatus)
def test_every_reported_status_outranks_everything_that_is_not_evidence(status: ReportedStatus) -> None:
    ours = {OrderState.ACCEPTED, OrderState.SENDING, OrderState.UNKNOWN, OrderState.REFUSED}
    assert all(STATE_RANK[status.state] > STATE_RANK[state] for state in ours)
    assert all(may_move(state, status.state) for state in ours)


def test_evidence_never_goes_back() -> None:
    back = [
        (current, target)
        for current, target in PAIRS
        if may_move(current, target) and STATE_RANK[target] <= STATE_RANK[current]
    ]
    assert set(back) == {move for move in OWN_TRANSITIONS if STATE_RANK[move[1]] <= STATE_RANK[move[0]]}


def test_nothing_moves_to_where_it_is() -> None:
    assert not any(may_move(state, state) for state in OrderState)


def test_a_filled_order_never_moves_again() -> None:
    assert not any(may_move(OrderState.FILLED, target) for target in OrderState)


def test_a_state_is_open_or_final() -> None:
    assert set(OrderState) == OPEN_STATES | FINAL_STATES
    assert not OPEN_STATES & FINAL_STATES
