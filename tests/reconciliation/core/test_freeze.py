"""What freezes trading by itself, and what ends such a freeze."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.core.freezes import FreezeCause, FreezeMode
from reconciliation.core.freeze import AccountView, RefusedLogin, StreamView, UnknownOrder, ended_causes, wanted_freezes

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


WELL = AccountView(
    now=NOW,
    account="desk",
    stream=StreamView(is_up=True, connected_at=ago(600), heard_at=ago(1)),
    snapshot_at=ago(5),
    verdict_at=ago(60),
    period=timedelta(seconds=60),
    skew=timedelta(seconds=-1),
)
SILENT = StreamView(is_up=True, connected_at=ago(600), heard_at=ago(11))
DOWN = StreamView(is_up=False, connected_at=ago(600), heard_at=ago(4), error="NETWORK_STREAM_CLOSED: gone")


def causes(view: AccountView) -> dict[str, FreezeCause]:
    return {str(one.scope): one.cause for one in wanted_freezes(view)}


def unknown(seconds: float, *, is_stuck: bool = False) -> UnknownOrder:
    return UnknownOrder("o1", "AAPL", ago(seconds), is_stuck)


def test_an_account_that_is_well_is_not_frozen_nor_is_one_of_which_nothing_is_known() -> None:
    assert wanted_freezes(WELL) == []
    assert wanted_freezes(AccountView(now=NOW, account="desk")) == []


@pytest.mark.parametrize(("stream", "limit"), [(SILENT, 10.0), (DOWN, 3.0)])
def test_a_stream_that_is_not_heard_freezes_unless_a_snapshot_was_taken(stream: StreamView, limit: float) -> None:
    view = replace(WELL, stream=stream, snapshot_at=ago(60))

    assert causes(view) == {"account:desk": FreezeCause.STREAM_DOWN}
    assert causes(replace(view, snapshot_at=ago(2))) == {}
    assert causes(replace(view, stream=replace(stream, heard_at=ago(limit - 0.1)))) == {}
    assert causes(replace(view, stream=replace(stream, heard_at=ago(limit + 0.1)))) != {}


def test_a_refused_login_freezes_until_a_person_comes() -> None:
    refused = StreamView(is_up=False, connected_at=None, heard_at=ago(1), error="AUTH_INVALID_CREDENTIALS: no")

    assert causes(replace(WELL, stream=refused)) == {"account:desk": FreezeCause.AUTH_FAILURE}


def test_calls_refused_for_their_login_freeze_once_that_lasts() -> None:
    refused = replace(WELL, snapshot_at=ago(30), login=RefusedLogin(ago(20), ago(1), "AUTH_INVALID_CREDENTIALS: no"))

    assert causes(refused) == {"account:desk": FreezeCause.AUTH_FAILURE}
    assert causes(replace(refused, snapshot_at=ago(0))) == {}, "the broker answered since"
    assert causes(replace(refused, login=RefusedLogin(ago(9), ago(1), "AUTH_INVALID_CREDENTIALS: no"))) == {}
    assert ended_causes(WELL, {FreezeCause.AUTH_FAILURE}) == {}, "a person says that the credentials are right"


def test_an_account_that_was_never_reconciled_freezes_when_it_should_have_been() -> None:
    new = replace(WELL, verdict_at=None, added_at=ago(301))

    assert causes(new) == {"account:desk": FreezeCause.RECONCILIATION_LATE}
    assert causes(replace(new, added_at=ago(299))) == {}
    assert causes(replace(new, period=None)) == {}, "none is scheduled"
    assert ended_causes(new, {FreezeCause.RECONCILIATION_LATE}) == {}


def test_an_order_unknown_for_half_a_minute_freezes_its_symbol() -> None:
    assert causes(replace(WELL, unknown=(unknown(29),))) == {}
    assert causes(replace(WELL, unknown=(unknown(31),))) == {"account:desk/symbol:AAPL": FreezeCause.UNKNOWN_ORDER}


def test_time_in_which_nobody_could_look_does_not_count() -> None:
    aged = replace(WELL, unknown=(unknown(300),))
    back = StreamView(is_up=True, connected_at=ago(10), heard_at=ago(0))

    assert causes(replace(aged, stream=back)) == {}
    assert causes(replace(aged, can_look_up=False)) == {}
    assert causes(replace(aged, is_recovering=True)) == {}
    assert causes(replace(aged, recovered_at=ago(10))) == {}
    assert causes(replace(aged, stream=replace(DOWN, heard_at=ago(1)))) == {}


def test_an_order_that_only_a_person_can_settle_freezes_its_symbol_at_once() -> None:
    stuck = replace(WELL, unknown=(unknown(1, is_stuck=True),), is_recovering=True)

    assert causes(stuck) == {"account:desk/symbol:AAPL": FreezeCause.UNKNOWN_ORDER}


def test_reconciliations_that_come_to_no_verdict_freeze_and_the_next_verdict_ends_it() -> None:
    late = replace(WELL, verdict_at=ago(301))

    assert causes(late) == {"account:desk": FreezeCause.RECONCILIATION_LATE}
    assert causes(replace(late, period=None)) == {}, "none is scheduled"
    assert causes(replace(late, period=timedelta(minutes=5))) == {}
    assert ended_causes(late, {FreezeCause.RECONCILIATION_LATE}) == {}
    assert set(ended_causes(WELL, {FreezeCause.RECONCILIATION_LATE})) == {FreezeCause.RECONCILIATION_LATE}


@pytest.mark.parametrize(("seconds", "told"), [(1.5, "1.5 s ahead of ours"), (-1.5, "1.5 s behind ours")])
def test_a_clock_that_is_ahead_or_behind_freezes_and_one_that_agrees_again_ends_it(seconds: float, told: str) -> None:
    off = replace(WELL, skew=timedelta(seconds=seconds))

    assert causes(off) == {"account:desk": FreezeCause.CLOCK_SKEW}
    assert told in wanted_freezes(off)[0].reason
    assert ended_causes(off, {FreezeCause.CLOCK_SKEW}) == {}
    assert set(ended_causes(WELL, {FreezeCause.CLOCK_SKEW})) == {FreezeCause.CLOCK_SKEW}


ages = st.floats(0, 500)


@given(ages, ages, ages, st.booleans(), st.booleans(), st.sets(st.sampled_from(FreezeCause)))
def test_nothing_ends_that_would_begin_again_and_a_lost_connection_never_ends_by_facts_alone(
    heard: float, snapshot: float, verdict: float, is_up: bool, stuck: bool, in_force: set[FreezeCause]
) -> None:
    view = replace(
        WELL,
        stream=StreamView(is_up, ago(500), ago(heard)),
        snapshot_at=ago(snapshot),
        verdict_at=ago(verdict),
        unknown=(unknown(heard, is_stuck=stuck),),
    )
    wanted = wanted_freezes(view)
    over = ended_causes(view, in_force)

    assert not {one.cause for one in wanted} & over.keys()
    assert over.keys() <= {FreezeCause.RECONCILIATION_LATE, FreezeCause.CLOCK_SKEW} & in_force
    assert all(one.mode is FreezeMode.HALT and one.reason for one in wanted)
