"""What calls for a recovery, what makes one void, and verdicts that can fail."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.core.recovery import (
    STAGES,
    UNCERTAIN,
    VOIDING,
    Action,
    IntegrityFacts,
    PositionLook,
    RecoveryFigures,
    Starting,
    Surroundings,
    TriggerKind,
    decide_start,
    judge_integrity,
    lasting_differences,
    needs_freeze,
    notice,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
kinds = st.lists(st.sampled_from(TriggerKind), max_size=6)


def around(seconds: float = 0.0, **values: Any) -> Surroundings:
    facts = {"database_started_at": NOW, "boot_id": "b", "memory_token": "t", "memory_away": False}
    return Surroundings(seen_at=NOW + timedelta(seconds=seconds), **{**facts, **values})


def test_two_looks_at_the_same_machines_notice_nothing() -> None:
    assert notice(around(), around(0.5)) == []
    assert notice(around(), around(0.5, memory_token=None, memory_away=True)) == []


@pytest.mark.parametrize(
    ("now", "kind"),
    [
        (around(2, database_started_at=NOW + timedelta(seconds=1)), TriggerKind.DATABASE_RESTARTED),
        (around(30, watcher="another"), TriggerKind.DATABASE_RETURNED),
        (around(1, lost_database=True), TriggerKind.DATABASE_RETURNED),
        (around(60, boot_id="c", database_started_at=NOW + timedelta(seconds=50)), TriggerKind.HOST_RESTARTED),
        (around(0.5, memory_token="u"), TriggerKind.MEMORY_LOST),
    ],
)
def test_what_was_restarted_or_emptied_is_noticed_once(now: Surroundings, kind: TriggerKind) -> None:
    found = notice(around(), now)

    assert [one.kind for one in found] == [kind]
    assert [one.key for one in notice(around(), now)] == [one.key for one in found], "the same thing has the same key"
    assert found[0].since == NOW, "it may have happened any time since the last look"
    assert notice(now, replace(now, lost_database=False)) == []


def test_a_machine_so_busy_that_the_same_watch_looks_late_is_no_outage() -> None:
    assert notice(around(), around(60)) == []


def test_redis_that_was_away_and_kept_its_data_is_noticed_when_it_is_back() -> None:
    away = around(1, memory_away=True)

    assert [one.kind for one in notice(away, around(2))] == [TriggerKind.MEMORY_RETURNED]
    assert notice(away, around(2, memory_token=None, memory_away=True)) == []


@given(kinds, st.booleans())
def test_one_run_at_a_time_unless_it_is_void(waiting: list[TriggerKind], is_running: bool) -> None:
    decision = decide_start(waiting, is_running=is_running)

    assert (decision is Starting.WAIT) == (not waiting or (is_running and not VOIDING & set(waiting)))
    assert (decision is Starting.SUPERSEDE) <= is_running


@given(kinds, st.booleans())
def test_an_account_without_orders_is_never_frozen_and_a_stream_that_stood_hides_nothing(
    found: list[TriggerKind], stream_is_up: bool
) -> None:
    assert not needs_freeze(found, stream_is_up=stream_is_up, is_untouched=True)
    frozen = needs_freeze(found, stream_is_up=stream_is_up, is_untouched=False)
    assert frozen == bool(UNCERTAIN & set(found) - ({TriggerKind.BROKER_RETURNED} if stream_is_up else set()))


def test_every_step_has_one_place_and_trading_goes_on_after_the_verdict_only() -> None:
    in_order = [action for stage in STAGES for action in stage]

    assert sorted(in_order) == sorted(Action)
    assert in_order.index(Action.INTEGRITY) < in_order.index(Action.UNFREEZE) < in_order.index(Action.NOTIFY)
    stage_of = {action: number for number, stage in enumerate(STAGES) for action in stage}
    before = stage_of[Action.INTEGRITY]
    assert all(
        stage_of[one] < before for one in Action if one not in (Action.UNFREEZE, Action.NOTIFY, Action.INTEGRITY)
    )


@given(st.lists(st.decimals(-5, 5, places=0), min_size=1, max_size=6), st.integers(1, 6))
def test_only_a_difference_that_stays_is_one(differences: list[Decimal], needed: int) -> None:
    looks = [PositionLook({"AAPL": one} if one else {}) for one in differences]

    lasting = lasting_differences(looks, needed=needed)

    last = differences[-needed:]
    stays = len(differences) >= needed and last[0] != 0 and len(set(last)) == 1
    assert lasting == ({"AAPL": last[0]} if stays else {})


CLEAN = IntegrityFacts()
DOUBTS = [
    {"unknown_orders": ("o1",)},
    {"unbooked_orders": ("o1",)},
    {"unbalanced": ("AAPL",)},
    {"differing": {"AAPL": "1"}},
    {"broken_orders": ("o1",)},
    {"open_gaps": 1},
]


def test_books_that_balance_are_clean_and_each_doubt_fails_the_verdict() -> None:
    assert judge_integrity(CLEAN).is_clean
    for doubt in DOUBTS:
        facts: Any = doubt
        verdict = judge_integrity(IntegrityFacts(**facts))
        assert not verdict.is_clean
        assert len(verdict.findings) == 1
    together: Any = {name: value for doubt in DOUBTS for name, value in doubt.items()}
    assert len(judge_integrity(IntegrityFacts(**together)).findings) == len(DOUBTS)


def test_a_long_list_of_doubts_is_told_by_its_head() -> None:
    verdict = judge_integrity(IntegrityFacts(unknown_orders=tuple(f"o{n}" for n in range(9))))

    assert verdict.findings == ("9 orders are still unknown: o0, o1, o2, o3, o4 and 4 more.",)


def test_the_automatic_rate_counts_those_that_ended() -> None:
    figures = RecoveryFigures(18, 1, 1, 7, 2, 4.0, 3.0, 9.0)

    assert figures.automatic_rate == 0.9
    assert RecoveryFigures(0, 0, 0, 3, 1, None, None, None).automatic_rate is None
