"""Gaps as runs of positions, and what recorded gaps become."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from reconciliation.core.gaps import GapState, KnownGap, Run, missing_runs, plan_changes, runs_of, without
from reconciliation.core.slots import SlotGrid

GRID = SlotGrid(60, (0, 10_000), (10, 10), (0, 10))  # two sessions of ten minutes each
STATES = [GapState.FOUND, GapState.FILLING, GapState.UNFILLABLE, GapState.ACCEPTED]


def steps(stamps: list[int]) -> list[tuple[int, int]]:
    return list(itertools.pairwise(stamps))


def test_closed_time_between_bars_is_no_gap():
    assert list(missing_runs(GRID, [(540, 10_000)])) == []


def test_the_last_bar_of_one_session_and_the_first_of_the_next_are_one_gap():
    assert list(missing_runs(GRID, [(480, 10_060)])) == [Run(9, 10)]


def test_runs_on_both_sides_of_a_bar_outside_trading_hours_are_one_gap():
    assert list(missing_runs(GRID, [(480, 5_000), (5_000, 10_060)])) == [Run(9, 10)]


@given(st.sets(st.integers(0, 19), min_size=2))
def test_the_runs_are_exactly_what_is_missing_between_the_first_and_the_last_bar(present):
    stamps = [GRID.at(position) for position in sorted(present)]
    missing = set(range(min(present), max(present) + 1)) - present

    assert list(missing_runs(GRID, steps(stamps))) == runs_of(missing)


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_taking_positions_out_of_runs_leaves_the_others(missing, taken):
    assert runs_of(covered(without(runs_of(missing), taken))) == runs_of(missing - taken)


def covered(runs) -> list[int]:
    return [position for run in runs for position in range(run.first, run.last + 1)]


@st.composite
def recorded(draw: st.DrawFn) -> list[KnownGap]:
    runs = runs_of(draw(st.sets(st.integers(0, 30))))
    return [KnownGap(number, run, draw(st.sampled_from(STATES))) for number, run in enumerate(runs, 1)]


@given(recorded(), st.sets(st.integers(0, 30)))
def test_after_the_changes_the_open_rows_are_exactly_what_is_missing_and_never_overlap(known, missing):
    changes = plan_changes(known, runs_of(missing))
    rows = {gap.id: gap.run for gap in known}
    rows.update(changes.resized)
    for gone in (*changes.filled, *(gap_id for gap_id, _ in changes.merged)):
        del rows[gone]
    runs = [*rows.values(), *(run for _, run in changes.split), *changes.found]

    assert sorted(covered(runs)) == sorted(missing)


@given(recorded(), st.sets(st.integers(0, 30)))
def test_a_decision_holds_for_the_bars_it_was_made_for_and_no_others(known, missing):
    changes = plan_changes(known, runs_of(missing))
    decided = {gap.id: gap.run for gap in known if gap.state is not GapState.FOUND}

    for gap_id, run in (*changes.resized, *changes.split):
        if gap_id in decided:
            assert set(covered([run])) <= set(covered([decided[gap_id]]))
    assert not decided.keys() & {gap_id for pair in changes.merged for gap_id in pair}


@given(recorded())
def test_nothing_changes_when_nothing_changed(known):
    touching = {gap.id for gap in known for other in known if gap.run.last + 1 == other.run.first}
    if not touching:
        changes = plan_changes(known, [gap.run for gap in known])
        assert changes == type(changes)()


def test_a_bar_in_the_middle_splits_and_one_between_two_gaps_being_lost_joins():
    split = plan_changes([KnownGap(1, Run(2, 6), GapState.FILLING)], [Run(2, 3), Run(5, 6)])
    joined = plan_changes([KnownGap(1, Run(2, 3), GapState.FOUND), KnownGap(2, Run(5, 6), GapState.FOUND)], [Run(2, 6)])

    assert (split.resized, split.split) == (((1, Run(2, 3)),), ((1, Run(5, 6)),))
    assert (joined.resized, joined.merged) == (((1, Run(2, 6)),), ((2, 1),))
